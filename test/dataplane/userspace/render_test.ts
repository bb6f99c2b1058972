import assert from "node:assert/strict";
import fc from "fast-check";
import { type Plan, type Route, serviceKey, type ServicePlan } from "../../../src/plan/plan.ts";
import {
  type Capture,
  captureKey,
  diff,
  MASQUERADE_PORTS,
  render,
  type UserspaceRules,
} from "../../../src/dataplane/userspace/render.ts";
import { serviceOf, servicePort } from "../../plan/service_plan.ts";

const forward: Route = { action: "forward", to: "cluster", masquerade: false };

/** A Service with one frontend for each address; null is its node port. */
function service(name: string, frontends: [address: string | null, port: number][]): ServicePlan {
  const port = servicePort({
    service: name,
    frontends: frontends.map(([address, port]) => ({
      kind: address === null ? "NodePort" : "ClusterIP",
      address,
      port,
      routes: { pod: forward, node: forward, outside: forward },
      sourceRanges: null,
    })),
  });
  return serviceOf([port], { type: "NodePort" });
}

function plan(...services: ServicePlan[]): Plan {
  return {
    node: {
      name: "n",
      addresses: ["192.168.50.10", "fd00:50::10"],
      nodePortAddresses: ["192.168.50.10", "fd00:50::10"],
      podNetworks: [],
    },
    services: new Map(services.map((one) => [serviceKey(one), one])),
  };
}

const masquerade = [
  "TCP 192.168.50.10 61000-65534",
  "UDP 192.168.50.10 61000-65534",
  "SCTP 192.168.50.10 61000-65534",
  "ICMP 192.168.50.10 0-0",
  "TCP fd00:50::10 61000-65534",
  "UDP fd00:50::10 61000-65534",
  "SCTP fd00:50::10 61000-65534",
];

Deno.test("replies to masqueraded connections are captured without any Service", () => {
  const rules = render(plan(), MASQUERADE_PORTS);
  assert.deepEqual([...rules.routes], []);
  assert.deepEqual([...rules.captures.keys()], masquerade);
  assert.equal(rules.captureSource, "192.168.50.10");
  const addresses = ["fd00:50::10", "192.168.50.11", "192.168.50.10"];
  const node = { ...plan().node, addresses };
  assert.equal(render({ ...plan(), node }, MASQUERADE_PORTS).captureSource, "192.168.50.11");
  const onlyIPv6 = { ...node, addresses: addresses.slice(0, 1) };
  assert.equal(render({ ...plan(), node: onlyIPv6 }, MASQUERADE_PORTS).captureSource, null);
});

Deno.test("Service addresses are routed whole, the node's own only at the Service's port", () => {
  const rules = render(
    plan(service("a", [["10.96.0.1", 80], ["10.96.0.1", 443], ["192.168.50.10", 8080]])),
    MASQUERADE_PORTS,
  );
  assert.deepEqual([...rules.routes], [["10.96.0.1", "192.168.50.10"]]);
  assert.deepEqual([...rules.captures.keys()], ["TCP 192.168.50.10 8080-8080", ...masquerade]);
});

Deno.test("node ports are captured on addresses of their family, and nothing besides", () => {
  const rules = render(
    plan(service("a", [[null, 30007], [null, 31000]]), service("b", [[null, 20000]])),
    MASQUERADE_PORTS,
  );
  assert.deepEqual([...rules.captures.keys()], [
    "TCP 192.168.50.10 20000-20000",
    "TCP 192.168.50.10 30007-30007",
    "TCP 192.168.50.10 31000-31000",
    ...masquerade,
  ]);
});

Deno.test("however many node ports there are, captures are few, and health checks stay the node's own", () => {
  const many = Array.from({ length: 500 }, (_, i) => [null, 30000 + 5 * i] as [null, number]);
  const captures = (healthCheckNodePort: number) =>
    [
      ...render(
        plan({ ...service("a", many), healthCheckNodePort }),
        MASQUERADE_PORTS,
      ).captures.values(),
    ].filter(({ protocol, firstPort }) => protocol === "TCP" && firstPort < 61000);
  assert.equal(captures(0).length, 32);
  const around = captures(30001);
  assert.ok(around.every(({ firstPort, lastPort }) => firstPort > 30001 || lastPort < 30001));
  // A Service may have what another one's health check asks for.
  assert.ok(
    captures(30005).some(({ firstPort, lastPort }) => firstPort <= 30005 && 30005 <= lastPort),
  );
});

Deno.test("a transaction turns any rule set into any other and adds before it removes", () => {
  const rules: fc.Arbitrary<UserspaceRules> = fc.record({
    routes: fc.array(
      fc.tuple(fc.nat(9).map((n) => `10.96.0.${n}`), fc.constantFrom(null, "192.168.0.1")),
    ).map((list) => new Map(list)),
    captureSource: fc.constantFrom(null, "192.168.0.1", "192.168.0.2"),
    captures: fc.array(fc.tuple(fc.nat(3), fc.nat(3))).map((list) =>
      new Map(list.map(([host, port]): [string, Capture] => {
        const capture = {
          address: `192.168.0.${host}`,
          protocol: "TCP" as const,
          firstPort: port,
          lastPort: port,
        };
        return [captureKey(capture), capture];
      }))
    ),
  });
  fc.assert(fc.property(rules, rules, (from, to) => {
    const step = diff(from, to);
    const routes = new Map([...from.routes, ...step.addRoutes]);
    for (const address of step.removeRoutes) assert.ok(routes.delete(address));
    assert.deepEqual(routes, to.routes);
    const { captureSource = from.captureSource } = step;
    assert.equal(captureSource, to.captureSource);
    const captures = new Set([...from.captures.keys(), ...step.addCaptures.map(captureKey)]);
    for (const capture of step.removeCaptures) assert.ok(captures.delete(captureKey(capture)));
    assert.deepEqual(captures, new Set(to.captures.keys()));
    const same = diff(to, to);
    assert.equal(Object.values(same).flat().length, 0);
  }));
});

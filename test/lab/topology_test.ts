import assert from "node:assert/strict";
import fc from "fast-check";
import type { EndpointSlice, Pod } from "../../src/cluster/objects.ts";
import { diffServers, resolveName, type Server, serversFor } from "../../src/lab/topology.ts";

function slice(name: string, service: string, addresses: string[], port?: number): EndpointSlice {
  return {
    kind: "EndpointSlice",
    metadata: { name, namespace: "default", labels: { "kubernetes.io/service-name": service } },
    addressType: addresses[0]?.includes(":") ? "IPv6" : "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ protocol: "TCP", port }],
  };
}

function pod(name: string, podIPs: string[], ports: number[], phase?: string): Pod {
  return {
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: {
      containers: ports.map((containerPort) => ({
        name: `c${containerPort}`,
        ports: [{ containerPort, protocol: "TCP" }],
      })),
    },
    status: { podIPs, phase },
  };
}

const tcp = (port: number) => ({ protocol: "TCP" as const, port });

Deno.test("pods serve on their containers' ports, or where slices say when they declare none", () => {
  const slices = [
    slice("web-1", "web", ["10.244.1.1", "10.244.1.2"], 8080),
    slice("web-2", "web", ["fd00::2"], 8081),
  ];
  const servers = serversFor([
    pod("declares", ["10.244.1.1"], [80, 443]),
    pod("silent", ["10.244.1.2", "fd00::2"], []),
    pod("pending", [], [80]),
    pod("done", ["10.244.1.4"], [80], "Succeeded"),
  ], slices);
  assert.deepEqual(servers.map(({ name, addresses, ports }) => [name, addresses, ports]), [
    ["default/declares", ["10.244.1.1"], [tcp(80), tcp(443)]],
    ["default/silent", ["10.244.1.2", "fd00::2"], [tcp(8080), tcp(8081)]],
  ]);
});

Deno.test("endpoints that no pod stands for become servers, ports of all slices put together", () => {
  const servers = serversFor([pod("web", ["10.244.1.7"], [80])], [
    slice("reg-1", "reg", ["192.168.146.90", "10.244.1.7"], 80),
    slice("reg-2", "reg", ["192.168.146.90"], 443),
    slice("all-ports", "any", ["192.168.146.91"]),
    { ...slice("names", "fqdn", ["example.org"], 80), addressType: "FQDN" },
  ]);
  assert.deepEqual(servers.slice(1), [
    {
      name: "default/reg-192.168.146.90",
      hostname: "reg-192.168.146.90",
      addresses: ["192.168.146.90"],
      ports: [tcp(80), tcp(443)],
    },
    {
      name: "default/any-192.168.146.91",
      hostname: "any-192.168.146.91",
      addresses: ["192.168.146.91"],
      ports: [],
    },
  ]);
});

const server = fc.record({
  name: fc.constantFrom("a/1", "a/2", "b/1", "b/2", "b/3"),
  hostname: fc.constantFrom("1", "2"),
  addresses: fc.uniqueArray(fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1"), { minLength: 1 }),
  ports: fc.array(
    fc.record({
      protocol: fc.constantFrom("TCP" as const, "UDP" as const),
      port: fc.constantFrom(53, 80),
    }),
    { maxLength: 3 },
  ),
});
const servers = fc.uniqueArray(server, { selector: ({ name }) => name });
const byName = (list: readonly Server[]) => new Map(list.map((each) => [each.name, each]));

Deno.test("property: carrying out a change of servers gives those wanted", () => {
  fc.assert(
    fc.property(servers, servers, (before, wanted) => {
      const present = byName(before);
      const { remove, add } = diffServers(present, wanted);
      for (const name of remove) assert.ok(present.delete(name));
      for (const each of add) {
        assert.ok(!present.has(each.name), "a server is added beside itself");
        present.set(each.name, each);
      }
      assert.deepEqual([...present.keys()].sort(), wanted.map(({ name }) => name).sort());
      const rest = diffServers(present, wanted);
      assert.deepEqual(rest, { remove: [], add: [] });
    }),
    { numRuns: 300 },
  );
});

Deno.test("servers that are the same in another order are left alone", () => {
  const one: Server = {
    name: "a/1",
    hostname: "1",
    addresses: ["10.0.0.1", "fd00::1"],
    ports: [{ protocol: "TCP", port: 80 }, { protocol: "UDP", port: 53 }],
  };
  const turned: Server = {
    ...one,
    addresses: one.addresses.toReversed(),
    ports: [...one.ports.toReversed(), one.ports[0]],
  };
  assert.deepEqual(diffServers(byName([one]), [turned]), { remove: [], add: [] });
  const moved = { ...one, addresses: ["10.0.0.9"] };
  assert.deepEqual(diffServers(byName([one]), [moved]), { remove: ["a/1"], add: [moved] });
});

Deno.test("names resolve exactly, without namespace, and by unique beginning", () => {
  const names = ["node", "client", "default/web-0", "default/web-1", "other/web-1", "other/node"];
  assert.equal(resolveName(names, "node"), "node");
  assert.equal(resolveName(names, "cl"), "client");
  assert.equal(resolveName(names, "web-0"), "default/web-0");
  assert.equal(resolveName(names, "other/web"), "other/web-1");
  assert.throws(() => resolveName(names, "web-1"), /could be default\/web-1, other\/web-1/);
  assert.throws(() => resolveName(names, "nobody"), /nothing in the lab is called "nobody"/);
  assert.throws(() => resolveName(names, ""), /nothing in the lab is called ""/);
});

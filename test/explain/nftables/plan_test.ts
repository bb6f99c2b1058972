import assert from "node:assert/strict";
import fc from "fast-check";
import { objectKey, type Protocol } from "../../../src/cluster/objects.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../../src/dataplane/nftables/options.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { explainer } from "../../../src/explain/nftables/explain.ts";
import { renderedTables } from "../../../src/explain/nftables/rendered_source.ts";
import { decide } from "../../../src/plan/decide.ts";
import { FrontendIndex } from "../../../src/plan/frontend_index.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { testPlanner } from "../../dataplane/iptables/plans.ts";
import { clusterObject } from "../../plan/arbitraries.ts";

const FAMILIES = ["IPv4", "IPv6"] as const;
const PORTS = [80, 53, 30001, 30002];
const PROTOCOLS: readonly Protocol[] = ["TCP", "UDP"];
const PLACES = [
  {
    sources: ["10.244.0.1", "10.244.1.1", "192.168.50.10", "198.51.100.9", "203.0.113.9"],
    dests: ["10.96.0.1", "10.96.0.2", "203.0.113.7", "192.168.50.10"],
  },
  {
    sources: ["fd00:10:244::1", "fd00:50::10", "2001:db8::9"],
    dests: ["fd00:96::1", "fd00:50::10"],
  },
];

const QUERIES = PLACES.flatMap(({ sources, dests }) =>
  dests.flatMap((dest) =>
    sources.flatMap((source) =>
      PORTS.flatMap((port) => PROTOCOLS.map((protocol) => ({ source, dest, port, protocol })))
    )
  )
);

const clusters = fc.array(clusterObject, { minLength: 20, maxLength: 40, size: "max" })
  .map((objects) => {
    const own = objects.filter(({ kind }) => kind !== "Node");
    return [...new Map(own.map((one) => [`${one.kind} ${objectKey(one)}`, one])).values()];
  });

interface Said {
  readonly verdict: string;
  readonly service: string | null;
  readonly backends: readonly {
    readonly address: string;
    readonly port: number;
    readonly probability: number;
    readonly masquerade: boolean;
  }[];
}

function inShort({ verdict, service, backends }: Said): string {
  const list = backends.map(({ address, port, probability, masquerade }) =>
    `${address} ${port} ${probability.toFixed(9)} ${masquerade}`
  );
  return [verdict, service, ...list.sort()].join("\n");
}

/** Addresses of Services' own. */
function clusterIPs({ services }: Plan): Set<string> {
  const addresses = new Set<string>();
  for (const { ports } of services.values()) {
    for (const { frontends } of ports) {
      for (const { kind, address } of frontends) {
        if (kind === "ClusterIP" && address !== null) addresses.add(address);
      }
    }
  }
  return addresses;
}

Deno.test("rendered nftables rules do what the plan says, in random clusters", () => {
  const planners = { clusterCIDRs: ["10.244.0.0/16", "fd00:10:244::/48"] };
  const nodePortAddresses = ["primary"];
  const options = { ...DEFAULT_NFTABLES_OPTIONS, nodePortAddresses };
  let forwarded = 0;
  fc.assert(
    fc.property(clusters, (objects) => {
      const planner = testPlanner({ ...planners, nodePortAddresses });
      planner.update(objects.map((object) => ({ action: "apply", object })));
      const { plan } = planner;
      const index = new FrontendIndex(plan);
      const tables = renderedTables(FAMILIES.map((family) => render(plan, family, options).rules));
      const nodeAddresses = plan.node.addresses;
      const ask = explainer({ tables, nodeAddresses });
      const owned = clusterIPs(plan);
      for (const query of QUERIES) {
        // No Service has an address of a node for its own.
        if (owned.has(query.dest) && nodeAddresses.includes(query.dest)) continue;
        const decision = decide(plan, query, index);
        const answer = ask({ name: "", ...query });
        assert.deepEqual(answer.unknown, []);
        // As kube-proxy, nftables mode refuses ports that a cluster IP does not have.
        const unused = decision.verdict === "PASS" && owned.has(query.dest);
        const expected = unused ? { ...decision, verdict: "REJECT" } : decision;
        assert.equal(inShort(answer), inShort(expected), JSON.stringify(query));
        if (answer.verdict === "FORWARD") forwarded++;
      }
    }),
    { numRuns: 80, seed: 1 },
  );
  assert(forwarded > 100, `${forwarded} flows were forwarded`);
});

/**
 * Whether what is rendered does what the plan says, asked by evaluating rules, sets and virtual
 * servers for sources of every class at every frontend of random clusters.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { JUMPS } from "../../../src/dataplane/ipvs/jumps.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import { stateExplainer } from "../../../src/explain/ipvs/explain.ts";
import type { Family } from "../../../src/net/address.ts";
import type { ClusterChange } from "../../../src/cluster/source.ts";
import { decide } from "../../../src/plan/decide.ts";
import { Planner } from "../../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../../plan/arbitraries.ts";

/** A pod, pods that may be endpoints, the node, and others. */
const SOURCES: Readonly<Record<Family, readonly string[]>> = {
  IPv4: ["10.244.7.7", "10.244.0.1", "10.244.1.1", "192.168.50.10", "192.168.50.99", "192.0.2.1"],
  IPv6: ["fd00:10:244::77", "fd00:10:244::1", "fd00:50::10", "fd00:50::99", "2001:db8::1"],
};

const NODE = ["192.168.50.10", "fd00:50::10"];

/** A cluster IP that is the node's own address is nobody's wish, nor kube-proxy's rules made for it. */
function isSensible({ object }: ClusterChange): boolean {
  if (object.kind !== "Service") return true;
  const { clusterIP = "", clusterIPs = [] } = object.spec;
  return ![clusterIP, ...clusterIPs].some((address) => NODE.includes(address));
}

/** What becomes of a packet, in words that can be compared. */
function outcome(
  { verdict, backends }: Pick<ReturnType<typeof decide>, "verdict" | "backends">,
): string[] {
  return [
    verdict,
    ...backends.map(({ address, port, probability, masquerade }) =>
      `${address} ${port} ${probability.toFixed(6)}${masquerade ? " masqueraded" : ""}`
    ).sort(),
  ];
}

Deno.test("rules, sets and servers together do what the plan says", () => {
  let compared = 0;
  fc.assert(
    fc.property(
      plannerConfig.map((config) => ({
        ...config,
        nodeAddresses: NODE,
        localAddresses: [],
        scheduler: "rr" as const,
      })),
      fc.array(clusterChange.filter(isSensible), { minLength: 5, maxLength: 25 }),
      (config, changes) => {
        const planner = new Planner(config);
        planner.update(changes);
        const { plan } = planner;
        const options = { ...DEFAULT_IPVS_OPTIONS, masqueradeAll: config.masqueradeAll };
        const states = config.families.map((family) => render(plan, family, options).state);
        const ask = stateExplainer(
          { states, jumps: JUMPS, nodeAddresses: plan.node.addresses, used: false },
          () => null,
        );
        const elsewhere = new Set(
          [...plan.services.values()].flatMap(({ ports }) => ports)
            .flatMap(({ endpoints }) => endpoints)
            .filter(({ local, node }) => !local && node !== undefined)
            .map(({ address }) => address),
        );
        for (const { ports } of plan.services.values()) {
          for (const { family, protocol, frontends, hasEndpoints } of ports) {
            // Without a cluster IP of its own, which another Service has taken, it has one list only.
            if (!frontends.some(({ kind }) => kind === "ClusterIP")) continue;
            for (const { address, port } of frontends) {
              const dests = address === null ? plan.node.nodePortAddresses : [address];
              for (const dest of dests) {
                if (dest.includes(":") !== (family === "IPv6")) continue;
                if (address !== null && plan.node.addresses.includes(address)) continue;
                for (const source of SOURCES[family]) {
                  // On another node it does not ask here.
                  if (elsewhere.has(source)) continue;
                  const flow = { name: "", source, dest, port, protocol };
                  const decided = decide(plan, flow);
                  // What the node itself sends comes to IPVS before any filter, and IPVS refuses.
                  const early = decided.sourceClass === "node" && !hasEndpoints;
                  const wanted = early ? { ...decided, verdict: "REJECT" as const } : decided;
                  const answer = ask(flow);
                  assert.deepEqual(answer.unknown, []);
                  assert.deepEqual(outcome(answer), outcome(wanted), JSON.stringify(flow));
                  compared++;
                }
              }
            }
          }
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(compared > 1000, String(compared));
});

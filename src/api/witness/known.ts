/**
 * Where kube-proxy's iptables rules are known to do otherwise than the plan asks, always and on
 * purpose the same as kube-proxy.
 *
 * @module
 */

import type { LookupResult } from "../../engine/handle.ts";
import type { Answer } from "../../explain/answer.ts";

const NODE_ITSELF =
  "iptables mode refuses external addresses of Services without endpoints in INPUT and FORWARD " +
  "only, as kube-proxy does: the node's own packets pass";

const BEFORE_RANGES =
  "iptables mode rejects for want of endpoints before it asks for source ranges, as kube-proxy does";

/** Why the two verdicts are different though nothing is wrong; null: something is. */
export function knownDifference(engine: LookupResult, rules: Answer): string | null {
  const { verdict, frontend, sourceClass } = engine;
  const refused = verdict === "REJECT" || verdict === "DROP";
  const external = frontend === "ExternalIP" || frontend === "LoadBalancer";
  if (!refused || !external) return null;
  if (sourceClass === "node" && rules.verdict === "PASS") return NODE_ITSELF;
  if (frontend === "LoadBalancer" && verdict === "DROP" && rules.verdict === "REJECT") {
    return BEFORE_RANGES;
  }
  return null;
}

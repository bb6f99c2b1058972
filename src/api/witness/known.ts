/**
 * Where kube-proxy's rules are known to do otherwise than the plan asks, always and on
 * purpose the same as kube-proxy.
 *
 * @module
 */

import type { ProxyMode } from "../../dataplane/dataplane.ts";
import { CHAIN } from "../../dataplane/nftables/names.ts";
import type { LookupResult, PacketQuery } from "../../engine/handle.ts";
import type { AnswerInShort } from "../../explain/answer.ts";
import { WITHHELD } from "../../explain/netfilter/balancer.ts";
import { unknownLink } from "../../explain/netfilter/packet.ts";
import { isLoopback } from "../../plan/node.ts";

const AT_LOOPBACK =
  "iptables mode serves node ports at the node's loopback addresses too, as kube-proxy does, of which " +
  "the engine knows nothing (--iptables-localhost-nodeports)";

const NODE_ITSELF =
  "iptables mode refuses external addresses of Services without endpoints in INPUT and FORWARD " +
  "only, as kube-proxy does: the node's own packets pass";

const BEFORE_RANGES =
  "iptables mode rejects for want of endpoints before it asks for source ranges, as kube-proxy does";

const GUARDED =
  "in ipvs mode Services' addresses are the node's own, which is kept from answering at other " +
  "ports of them, as kube-proxy does";

const LOOPBACK =
  "IPVS sends nothing on from loopback addresses, so that Services are not reached from them, as " +
  "with kube-proxy";

const ELSEWHERE =
  "ipvs mode masquerades what endpoints send to themselves on their own node only, as kube-proxy " +
  "does: on others such packets don't come by";

const FROM_NODE =
  "in ipvs mode the node's own packets come to IPVS, which rejects for want of endpoints, before " +
  "the filters of source ranges";

const DELIVERED =
  "what a Service sends to an address of the node itself is delivered there, before anything would " +
  "masquerade it, as with kube-proxy";

const CHECKED =
  "nftables mode refuses what comes to other ports of cluster IPs, and drops what comes to addresses " +
  "that no Service has of those that cluster IPs are taken from, as kube-proxy does";

const BY_LINK =
  "packets of local pods are known by the link that they come in through, which no question tells: " +
  "the engine takes the source for no pod, and the rules leave it open";

/** As {@link knownDifference}, where only the one says that a packet is masqueraded. */
export function knownMasquerade(
  { backend, masquerade }: LookupResult,
  { unknown }: AnswerInShort,
  nodeAddresses: readonly string[],
): string | null {
  if (!masquerade || backend === null) return null;
  if (nodeAddresses.includes(backend.address)) return DELIVERED;
  return unknown.some(({ reason }) => reason === unknownLink("input")) ? BY_LINK : null;
}

/**
 * Why the two verdicts are different though nothing is wrong; null: something is.
 *
 * @param hasEndpoints whether the Service has any; null without a Service.
 */
export function knownDifference(
  mode: ProxyMode,
  { source, dest }: Pick<PacketQuery, "source" | "dest">,
  engine: LookupResult,
  rules: AnswerInShort,
  hasEndpoints: boolean | null,
): string | null {
  switch (mode) {
    case "ipvs":
      return byIpvs(source, engine, rules);
    case "nftables":
      return byNftables(engine, rules);
    default:
      if (engine.verdict === "PASS" && isLoopback(dest)) return AT_LOOPBACK;
      return hasEndpoints === false ? withoutEndpoints(engine, rules) : null;
  }
}

function byNftables(engine: LookupResult, { verdict, steps }: AnswerInShort): string | null {
  const refused = verdict === "REJECT" || verdict === "DROP";
  const checked = steps.some(({ chain, action }) =>
    chain === CHAIN.clusterIPsCheck && /^(?:rejected|dropped)\b/.test(action)
  );
  return engine.verdict === "PASS" && refused && checked ? CHECKED : null;
}

function byIpvs(
  source: string,
  engine: LookupResult,
  { verdict, steps }: AnswerInShort,
): string | null {
  if (engine.verdict === "PASS" && verdict === "REJECT") return GUARDED;
  if (verdict === "FORWARD" && engine.backend?.address === source) return ELSEWHERE;
  const refused = engine.verdict === "DROP" && verdict === "REJECT";
  if (refused && engine.sourceClass === "node") return FROM_NODE;
  const withheld = verdict === "DROP" && steps.some(({ action }) => action.endsWith(WITHHELD));
  return engine.verdict === "FORWARD" && withheld ? LOOPBACK : null;
}

function withoutEndpoints(engine: LookupResult, rules: AnswerInShort): string | null {
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

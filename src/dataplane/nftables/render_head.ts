/**
 * What of the rules is there whatever Services there are: base chains, and the chains, sets and maps
 * through which all traffic to Services goes.
 *
 * @module
 */

import type { BaseChain, Chain, Element, Rule, Statement } from "./language/ast.ts";
import { BASE_CHAIN, CHAIN, SET, type SetName } from "./names.ts";
import type { NftablesContext } from "./options.ts";
import { chain, type Head } from "./rules.ts";
import { fixedSets, nodePortSet } from "./sets.ts";
import {
  address,
  addressValue,
  concat,
  DROP,
  element,
  IS_NEW,
  isLocal,
  jump,
  MARK,
  markBits,
  match,
  number,
  PORT,
  PROTOCOL,
  reference,
  rule,
  verdict,
  verdictMap,
} from "./statements.ts";

/** Renders it. */
export function renderHead(context: NftablesContext): Head {
  const { family, nodePortAddresses } = context;
  const sets = fixedSets(family);
  const elements = new Map<SetName, readonly Element[]>();
  if (nodePortAddresses !== null) {
    sets.splice(1, 0, nodePortSet(family));
    const unique = [...new Set(nodePortAddresses)];
    elements.set(SET.nodePortIPs, unique.map((one) => element(addressValue(one))));
  }
  return { chains: [...baseChains(), ...sharedChains(context)], sets, elements };
}

/** nft's names: filter 0, dstnat −100, srcnat 100. */
const FILTER = 0;
const DNAT = -100;
const SNAT = 100;
/** Packets still have the address that they were sent to. */
const BEFORE_DNAT = DNAT - 10;

function baseChains(): Chain[] {
  const base = (
    name: string,
    type: BaseChain["type"],
    hook: BaseChain["hook"],
    priority: number,
    ...rules: readonly (readonly Statement[])[]
  ) =>
    chain(name, rules.map((statements) => rule(statements)), {
      base: { type, hook, priority, policy: "accept", devices: [] },
    });
  const nodePorts = [IS_NEW, jump(CHAIN.nodePortEndpointsCheck)];
  const endpoints = [IS_NEW, jump(CHAIN.serviceEndpointsCheck)];
  const firewall = [IS_NEW, jump(CHAIN.firewallCheck)];
  const clusterIPs = [IS_NEW, jump(CHAIN.clusterIPsCheck)];
  const services = [jump(CHAIN.services)];
  return [
    base(BASE_CHAIN.filterPreroutingPreDnat, "filter", "prerouting", BEFORE_DNAT, firewall),
    base(BASE_CHAIN.filterOutputPreDnat, "filter", "output", BEFORE_DNAT, firewall),
    base(BASE_CHAIN.filterInput, "filter", "input", FILTER, nodePorts, endpoints),
    base(BASE_CHAIN.filterForward, "filter", "forward", FILTER, endpoints, clusterIPs),
    base(BASE_CHAIN.filterOutput, "filter", "output", FILTER, endpoints, clusterIPs),
    base(BASE_CHAIN.natPrerouting, "nat", "prerouting", DNAT, services),
    base(BASE_CHAIN.natOutput, "nat", "output", DNAT, services),
    base(BASE_CHAIN.natPostrouting, "nat", "postrouting", SNAT, [jump(CHAIN.masquerading)]),
  ];
}

function sharedChains(context: NftablesContext): Chain[] {
  const { family, nodePortAddresses } = context;
  const destination = address(family, "daddr");
  const toService = concat(destination, PROTOCOL, PORT);
  const toPort = concat(PROTOCOL, PORT);
  const onNode = nodePortAddresses === null
    ? match(destination, loopback(context), "!=")
    : match(destination, reference(SET.nodePortIPs));
  const toNode = nodePortAddresses === null ? [isLocal("daddr"), onNode] : [onNode];
  const lookup = (name: SetName, key = toService) => verdictMap(key, reference(name));
  return [
    chain(CHAIN.nodePortEndpointsCheck, [rule([onNode, lookup(SET.noEndpointNodePorts, toPort)])]),
    chain(CHAIN.serviceEndpointsCheck, [rule([lookup(SET.noEndpointServices)])]),
    chain(CHAIN.firewallCheck, [rule([lookup(SET.firewallIPs)])]),
    chain(CHAIN.services, [
      rule([lookup(SET.serviceIPs)]),
      rule([...toNode, lookup(SET.serviceNodePorts, toPort)]),
    ]),
    chain(CHAIN.masquerading, masquerading(context)),
    chain(CHAIN.clusterIPsCheck, clusterIPsCheck(context)),
    chain(CHAIN.markMasquerade, [rule([setMark("|", context)])]),
    chain(CHAIN.reject, [rule([{ kind: "reject", with: null }])], {
      comment: "helper for @no-endpoint-services / @no-endpoint-nodeports",
    }),
  ];
}

/** Node ports never answer there. */
function loopback({ family }: NftablesContext) {
  return family === "IPv4"
    ? { kind: "network" as const, address: "127.0.0.0", prefix: 8 }
    : addressValue("::1");
}

function setMark(operator: "|" | "^", { mark }: NftablesContext): Statement {
  return { kind: "mangle", target: MARK, value: markBits(operator, mark) };
}

/** The mark is cleared, so that a packet which comes by again is not masqueraded twice. */
function masquerading(context: NftablesContext): Rule[] {
  const isUnmarked = match(markBits("&", context.mark), number(0));
  return [
    rule([isUnmarked, verdict({ kind: "return" })]),
    rule([setMark("^", context)]),
    rule([{
      kind: "nat",
      type: "masquerade",
      family: null,
      address: null,
      port: null,
      pair: false,
      flags: ["fully-random"],
    }]),
  ];
}

/** What has a cluster IP and came here found no Service's port. */
function clusterIPsCheck({ family, serviceNetworks }: NftablesContext): Rule[] {
  const destination = address(family, "daddr");
  const rules = [
    rule(
      [match(destination, reference(SET.clusterIPs)), { kind: "reject", with: null }],
      "Reject traffic to invalid ports of ClusterIPs",
    ),
  ];
  if (serviceNetworks !== null) {
    rules.push(rule(
      [match(destination, serviceNetworks), verdict(DROP)],
      "Drop traffic to unallocated ClusterIPs",
    ));
  }
  return rules;
}

/**
 * Where flows go on a node in ipvs mode: by what would be programmed there, by what it has, or by
 * the texts of ipvsadm-save, ipset save and iptables-save.
 *
 * @module
 */

import type { Jump } from "../../dataplane/iptables/jumps.ts";
import type { IpvsState } from "../../dataplane/ipvs/state.ts";
import { FAMILIES, type Family } from "../../net/address.ts";
import type { FrontendIndex } from "../../plan/frontend_index.ts";
import { servicePortName } from "../../plan/plan.ts";
import type { Answer, Answered, Flow } from "../answer.ts";
import { answerer, explainer, type NodeState, type NodeTables } from "../iptables/explain.ts";
import { IpSet } from "../netfilter/ipset.ts";
import { chainTables } from "../iptables/rendered.ts";
import { type BalancerKnowledge, VirtualServerBalancer } from "./balancer.ts";
import type { SavedServers } from "./save_text.ts";
import { serversOf } from "./servers.ts";

/** A node by the state of its families. */
export interface StateNode {
  readonly states: readonly IpvsState[];
  /** The rules of the built-in chains that lead to ours, each put in front of its chain. */
  readonly jumps: readonly Jump[];
  /** The node's own addresses, the primary one of each family first. */
  readonly nodeAddresses: readonly string[];
  /** All its tables, where they were read; absent: those of the states, with the jumps. */
  readonly tables?: NodeTables;
  /** Whether the node has had clients, so that some may stay with their real server. */
  readonly used: boolean;
}

/** A node by what programs print. */
export interface SavedNode {
  readonly tables: NodeTables;
  readonly servers: SavedServers;
  readonly ipsets: ReadonlyMap<string, IpSet>;
  readonly nodeAddresses: readonly string[];
}

/** Names the Service port whose frontend a flow dials; null: none. */
export type ServiceNaming = (flow: Flow) => string | null;

/** Names Service ports by the frontends of a plan. */
export function servicePortNaming(index: FrontendIndex): ServiceNaming {
  return ({ dest, port, protocol }) => {
    const match = index.find(dest, port, protocol);
    return match === null ? null : servicePortName(match.port);
  };
}

/**
 * Answers one flow after another about the same node, and says for which other sources each answer is
 * one. The function throws TooManyWays.
 */
export function stateAnswerer(node: StateNode, nameOf: ServiceNaming): (flow: Flow) => Answered {
  const { states, jumps, nodeAddresses, used } = node;
  const knowledge: BalancerKnowledge = {
    templates: used ? "not given" : "none",
    assumed: new Set(),
  };
  const ask = answerer({
    tables: node.tables ??
      byFamily(states, ({ rules }) => chainTables(rules, jumps)),
    nodeAddresses,
    ipsets: new Map(
      states.flatMap(({ sets }) =>
        [...sets.values()].map(({ name, type, entries }) => [name, new IpSet(name, type, entries)])
      ),
    ),
    balancers: byFamily(
      states,
      (state) => new VirtualServerBalancer(serversOf(state), knowledge),
    ),
    virtualAddresses: new Set(states.flatMap(({ addresses }) => [...addresses])),
  });
  return (flow) => {
    const { answer, sender } = ask(flow);
    return { answer: withService(answer, nameOf(flow)), sender };
  };
}

/** Like {@link stateAnswerer}, for who keeps no answers. */
export function stateExplainer(node: StateNode, nameOf: ServiceNaming): (flow: Flow) => Answer {
  const ask = stateAnswerer(node, nameOf);
  return (flow) => ask(flow).answer;
}

/** Answers flows about a node of which there are texts. The function throws TooManyWays. */
export function savedExplainer(node: SavedNode): (flow: Flow) => Answer {
  return explainer(savedState(node));
}

function savedState({ tables, servers, ipsets, nodeAddresses }: SavedNode): NodeState {
  const known = FAMILIES.map((family) => ipsets.get(ADDRESS_SETS[family]));
  const told = known.flatMap((set) => set === undefined ? [] : addressesOf(set));
  const assumed = FAMILIES.filter((_, i) => known[i] === undefined)
    .flatMap((family) => serverAddresses(servers, family))
    .filter((address) => !nodeAddresses.includes(address));
  const knowledge: BalancerKnowledge = { templates: "not given", assumed: new Set(assumed) };
  return {
    tables,
    nodeAddresses,
    ipsets,
    balancers: {
      IPv4: new VirtualServerBalancer(servers.IPv4, knowledge),
      IPv6: new VirtualServerBalancer(servers.IPv6, knowledge),
    },
    virtualAddresses: new Set([...told, ...assumed]),
  };
}

/** The sets in which kube-proxy, since 1.24, keeps the addresses of its dummy device. */
const ADDRESS_SETS: Readonly<Record<Family, string>> = {
  IPv4: "KUBE-IPVS-IPS",
  IPv6: "KUBE-6-IPVS-IPS",
};

function addressesOf(set: IpSet): string[] {
  return set.entries.flatMap(({ parts: [part] }) =>
    part?.kind === "network" ? [part.network.address] : []
  );
}

function serverAddresses(servers: SavedServers, family: Family): string[] {
  return [...servers[family].values()].flatMap(({ key }) => "mark" in key ? [] : [key.address]);
}

function byFamily<T>(states: readonly IpvsState[], of: (state: IpvsState) => T) {
  return Object.fromEntries(states.map((state) => [state.family, of(state)])) as Partial<
    Record<Family, T>
  >;
}

/** Rules and virtual servers don't name Services. */
function withService(answer: Answer, service: string | null): Answer {
  return answer.verdict === "PASS" ? answer : { ...answer, service: answer.service ?? service };
}

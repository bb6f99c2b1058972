/**
 * Where a packet that begins a connection goes, by the plan alone: what every data plane must do.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import {
  addressBytes,
  formatSocketAddress,
  type Network,
  networkContains,
  networkContainsBytes,
  parseAddress,
  parseNetwork,
} from "../net/address.ts";
import { flat } from "../flat_text.ts";
import { FrontendIndex } from "./frontend_index.ts";
import { isLoopback } from "./node.ts";
import {
  type Backend,
  type FrontendKind,
  type NodeInfo,
  type Plan,
  servicePortName,
  type SourceClass,
} from "./plan.ts";

/** The packet, with addresses in any accepted notation. */
export interface DecisionQuery {
  readonly source: string;
  readonly dest: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** A backend that a new connection may get. */
export interface DecidedBackend {
  readonly address: string;
  readonly port: number;
  /** Of all together 1. */
  readonly probability: number;
  /** Whether the source becomes the node's on the way to this backend. */
  readonly masquerade: boolean;
}

/** What happens to the packet. */
export interface Decision {
  readonly verdict: "FORWARD" | "REJECT" | "DROP" | "PASS";
  /** kube-proxy's service port name; null when no Service rule applies. */
  readonly service: string | null;
  readonly frontend: FrontendKind | null;
  readonly sourceClass: SourceClass;
  readonly backends: readonly DecidedBackend[];
  /** Whether the packet is masqueraded whichever backend it gets. */
  readonly masquerade: boolean;
  /** One line. */
  readonly reason: string;
}

/** The class of a canonical source address; pods come first, wherever they are. */
export function classifySource(node: NodeInfo, source: string): SourceClass {
  const bytes = addressBytes(source);
  for (const network of networksOf(node.podNetworks)) {
    if (networkContainsBytes(network, bytes)) return "pod";
  }
  return isLoopback(source) || node.addresses.includes(source) ? "node" : "outside";
}

/** Networks that were read from their text, by the list that has them. */
const NETWORKS = new WeakMap<readonly string[], readonly Network[]>();

function networksOf(texts: readonly string[]): readonly Network[] {
  let networks = NETWORKS.get(texts);
  if (networks === undefined) {
    networks = texts.map((text) => parseNetwork(text)!);
    NETWORKS.set(texts, networks);
  }
  return networks;
}

/**
 * Decides about one packet. Give the index when deciding about many; without it, one is made from
 * the plan. Throws a TypeError when an address is none.
 *
 * Probabilities are those of a new client: session affinity and the history of a scheduler are not
 * part of the plan. Weights are.
 */
export function decide(
  plan: Plan,
  query: DecisionQuery,
  index: FrontendIndex = new FrontendIndex(plan),
): Decision {
  const source = requireAddress(query.source);
  const dest = requireAddress(query.dest);
  const sourceClass = classifySource(plan.node, source);
  const dialled = `${formatSocketAddress(dest, query.port)}/${query.protocol}`;
  const nothing = { backends: [], masquerade: false, sourceClass };
  const match = index.find(dest, query.port, query.protocol);
  if (match === null) {
    const network = plan.serviceNetworks?.find((one) => networkContains(parseNetwork(one)!, dest));
    const where = network === undefined ? "" : `, in the Service network ${network}`;
    const reason = `no Service has a frontend at ${dialled}${where}`;
    return { ...nothing, verdict: "PASS", service: null, frontend: null, reason };
  }
  const { port, frontend } = match;
  const service = servicePortName(port);
  const refused = { ...nothing, service, frontend: frontend.kind };
  const { sourceRanges } = frontend;
  if (sourceRanges !== null && !isInAny(sourceRanges, source)) {
    const reason = `${source} is in none of the source ranges ${sourceRanges.join(", ")}`;
    return { ...refused, verdict: "DROP", reason };
  }
  const route = frontend.routes[sourceClass];
  if (route.action === "reject") {
    return { ...refused, verdict: "REJECT", reason: `${service} has no endpoints` };
  }
  if (route.action === "drop") {
    return { ...refused, verdict: "DROP", reason: `${service} has no endpoints on this node` };
  }
  const backends = candidates(port[route.to], source, route.masquerade);
  const policy = route.to === "local" ? "Local" : "Cluster";
  const share = `${backends.length} of ${port.endpoints.length} endpoints for sources`;
  return {
    ...refused,
    verdict: "FORWARD",
    backends,
    masquerade: backends.every((backend) => backend.masquerade),
    reason: flat`${frontend.kind} ${dialled}: policy ${policy}, ${share} of class ${sourceClass}`,
  };
}

/** Of whom {@link decide} says the same as of one query's source: only their names are others. */
export interface SourcesAlike {
  /** Whether this canonical source is one of them, as long as the plan is the same. */
  sameFor(source: string): boolean;
}

/** Finds out for whom else a decision holds. Throws a TypeError when an address is none. */
export function sourcesAlike(
  plan: Plan,
  query: DecisionQuery,
  index: FrontendIndex = new FrontendIndex(plan),
): SourcesAlike {
  const { node } = plan;
  const source = requireAddress(query.source);
  const match = index.find(requireAddress(query.dest), query.port, query.protocol);
  const endpoints = match?.port.endpoints ?? [];
  // What goes back to where it comes from is masqueraded.
  if (endpoints.some(({ address }) => address === source)) {
    return { sameFor: (other) => other === source };
  }
  return new Alike(node, source, endpoints, match?.frontend.sourceRanges ?? null);
}

class Alike implements SourcesAlike {
  readonly #node: NodeInfo;
  readonly #class: SourceClass;
  /** One text is looked through sooner than as many objects, which are all over the memory. */
  readonly #endpoints: string;
  readonly #ranges: readonly string[] | null;
  readonly #admitted: boolean;

  constructor(
    node: NodeInfo,
    source: string,
    endpoints: readonly Backend[],
    ranges: readonly string[] | null,
  ) {
    this.#node = node;
    this.#class = classifySource(node, source);
    this.#endpoints = ["", ...endpoints.map(({ address }) => address), ""].join(" ");
    this.#ranges = ranges;
    this.#admitted = ranges === null || isInAny(ranges, source);
  }

  sameFor(other: string): boolean {
    return classifySource(this.#node, other) === this.#class &&
      !this.#endpoints.includes(` ${other} `) &&
      (this.#ranges === null || isInAny(this.#ranges, other) === this.#admitted);
  }
}

function isInAny(networks: readonly string[], source: string): boolean {
  const bytes = addressBytes(source);
  return networksOf(networks).some((network) => networkContainsBytes(network, bytes));
}

function candidates(
  list: readonly Backend[],
  source: string,
  masquerade: boolean,
): DecidedBackend[] {
  let total = 0;
  for (const { weight } of list) total += weight;
  const decided: DecidedBackend[] = [];
  for (const { address, port, weight } of list) {
    if (weight === 0) continue;
    const probability = weight / total;
    decided.push({ address, port, probability, masquerade: masquerade || address === source });
  }
  return decided;
}

function requireAddress(text: string): string {
  const address = parseAddress(text);
  if (address === null) throw new TypeError(`not an IP address: ${JSON.stringify(text)}`);
  return address;
}

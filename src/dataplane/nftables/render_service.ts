/**
 * Rules of one Service, as kube-proxy writes them.
 *
 * @module
 */

import {
  type Backend,
  type Frontend,
  type ServicePlan,
  servicePortName,
  type ServicePortPlan,
} from "../../plan/plan.ts";
import { reachable, unrenderable as unrenderableValues } from "../iptables/renderable.ts";
import { networksValue } from "./intervals.ts";
import type { Chain, Element, Rule, Statement, Value, Verdict } from "./language/ast.ts";
import {
  CHAIN,
  type EndpointNames,
  endpointNames,
  type ServiceChains,
  serviceChains,
  SET,
  type SetName,
} from "./names.ts";
import type { NftablesContext } from "./options.ts";
import { chain, type ServiceParts } from "./rules.ts";
import { affinitySet } from "./sets.ts";
import {
  address,
  addressValue,
  commentText,
  concat,
  DROP,
  element,
  goto,
  isLocal,
  jump,
  match,
  number,
  PROTOCOL,
  reference,
  rule,
  symbol,
  verdict,
  verdictMap,
} from "./statements.ts";
import type { SetDeclaration } from "./transaction.ts";

/** Rules of a Service in the context's family; null when it has no port in it. */
export function renderService(
  service: ServicePlan,
  context: NftablesContext,
): ServiceParts | null {
  const ports = service.ports.filter((port) => port.family === context.family);
  if (ports.length === 0) return null;
  const parts = new PartsBuilder();
  for (const port of ports) new PortRules(port, context, parts).write();
  return parts;
}

/** What names in a table may be made of; the kernel takes more, but the language does not. */
const NAME = /^[A-Za-z0-9._-]*$/;

/**
 * Why no rule can be made from a Service, or null: one bad value would make the kernel refuse the
 * rules of all Services at once.
 */
export function unrenderable(service: ServicePlan): string | null {
  for (const { namespace, service: name, portName } of service.ports) {
    for (const text of [namespace, name, portName]) {
      if (!NAME.test(text)) {
        return `name ${JSON.stringify(text)}: expected letters, digits, ".", "_" and "-"`;
      }
    }
  }
  return unrenderableValues(service);
}

/** Collects what the ports of a Service add. */
class PartsBuilder implements ServiceParts {
  readonly chains: Chain[] = [];
  readonly affinitySets: SetDeclaration[] = [];
  readonly elements = new Map<SetName, Element[]>();
  readonly #clusterIPs = new Set<string>();

  add(set: SetName, added: Element): void {
    const elements = this.elements.get(set);
    if (elements === undefined) this.elements.set(set, [added]);
    else elements.push(added);
  }

  /** Ports of a Service have it together. */
  addClusterIP(text: string): void {
    if (this.#clusterIPs.has(text)) return;
    this.#clusterIPs.add(text);
    this.add(SET.clusterIPs, element(addressValue(text)));
  }
}

/** The chain of a policy, and whether there are endpoints in it. */
interface PolicyChain {
  readonly chain: string;
  readonly usable: boolean;
}

/** Writes the rules of one Service port. */
class PortRules {
  readonly #port: ServicePortPlan;
  readonly #context: NftablesContext;
  readonly #parts: PartsBuilder;
  readonly #chains: ServiceChains;
  readonly #names = new Map<Backend, EndpointNames>();
  readonly #protocol: Value;
  /** Where traffic to the cluster IP goes. */
  readonly #internal: PolicyChain;
  /** Where traffic from outside goes at last. */
  readonly #external: PolicyChain;

  constructor(port: ServicePortPlan, context: NftablesContext, parts: PartsBuilder) {
    this.#port = port;
    this.#context = context;
    this.#parts = parts;
    this.#chains = serviceChains(port);
    this.#protocol = symbol(port.protocol.toLowerCase());
    this.#internal = this.#policyChain(port.internalTrafficPolicy);
    this.#external = this.#policyChain(port.externalTrafficPolicy);
  }

  write(): void {
    const backends = reachable(this.#port);
    for (const backend of backends) this.#names.set(backend, endpointNames(this.#port, backend));
    for (const frontend of this.#port.frontends) this.#frontend(frontend);
    for (const backend of backends) this.#endpointChain(backend);
    this.#policyRules(this.#chains.cluster, this.#port.cluster);
    this.#policyRules(this.#chains.local, this.#port.local);
    if (this.#usesExternal) this.#externalChain();
    this.#firewallChain();
  }

  get #usesExternal(): boolean {
    return this.#port.hasEndpoints && this.#port.frontends.some(({ kind }) => kind !== "ClusterIP");
  }

  #policyChain(policy: "Cluster" | "Local"): PolicyChain {
    return policy === "Local"
      ? { chain: this.#chains.local, usable: this.#port.local.length > 0 }
      : { chain: this.#chains.cluster, usable: this.#port.cluster.length > 0 };
  }

  #namesOf(backend: Backend): EndpointNames {
    // The list for policy Local may have another object for the same endpoint.
    return this.#names.get(backend) ?? endpointNames(this.#port, backend);
  }

  #chain(name: string, rules: readonly Rule[]): void {
    this.#parts.chains.push(chain(name, rules));
  }

  #frontend(frontend: Frontend): void {
    const { hasEndpoints } = this.#port;
    const { kind, address, port } = frontend;
    if (address === null) {
      const key = concat(this.#protocol, number(port));
      if (hasEndpoints) this.#dispatch(SET.serviceNodePorts, key, goto(this.#chains.external));
      if (!this.#external.usable) this.#refuse(SET.noEndpointNodePorts, key);
      return;
    }
    const key = concat(addressValue(address), this.#protocol, number(port));
    if (kind === "ClusterIP") {
      this.#parts.addClusterIP(address);
      const { chain, usable } = this.#internal;
      if (usable) this.#dispatch(SET.serviceIPs, key, goto(chain));
      else this.#refuse(SET.noEndpointServices, key);
      return;
    }
    if (hasEndpoints) this.#dispatch(SET.serviceIPs, key, goto(this.#chains.external));
    if (!this.#external.usable) this.#refuse(SET.noEndpointServices, key);
    if (this.#sourceRanges(frontend).length > 0) {
      this.#dispatch(SET.firewallIPs, key, goto(this.#chains.firewall));
    }
  }

  #dispatch(map: SetName, key: Value, to: Verdict): void {
    this.#parts.add(map, element(key, to));
  }

  /** What has no usable endpoint; where there are some elsewhere, others may serve the client. */
  #refuse(map: SetName, key: Value): void {
    const to = this.#port.hasEndpoints ? DROP : goto(CHAIN.reject);
    this.#parts.add(map, element(key, to, commentText(servicePortName(this.#port))));
  }

  #sourceRanges({ kind, sourceRanges }: Frontend): readonly string[] {
    return kind === "LoadBalancer" ? sourceRanges ?? [] : [];
  }

  /** An endpoint that reaches itself must see another source than its own. */
  #endpointChain(backend: Backend): void {
    const { family } = this.#context;
    const { chain, affinity } = this.#namesOf(backend);
    const source = address(family, "saddr");
    const rules = [
      rule([match(source, addressValue(backend.address)), jump(CHAIN.markMasquerade)]),
    ];
    const seconds = this.#port.affinitySeconds;
    if (seconds !== null) {
      this.#parts.affinitySets.push(affinitySet(family, affinity, seconds));
      rules.push(rule([remember(affinity, source)]));
    }
    rules.push(rule([match(PROTOCOL, this.#protocol), destinationNat(backend)]));
    this.#chain(chain, rules);
  }

  /** Masquerades traffic to the cluster IP, then chooses: by affinity, else each as often. */
  #policyRules(name: string, backends: readonly Backend[]): void {
    if (backends.length === 0) return;
    const source = address(this.#context.family, "saddr");
    const rules = name === this.#internal.chain ? this.#clusterIPMasquerade() : [];
    if (this.#port.affinitySeconds !== null) {
      for (const backend of backends) {
        const { chain, affinity } = this.#namesOf(backend);
        rules.push(rule([match(source, reference(affinity)), verdict(goto(chain))]));
      }
    }
    const choice = { kind: "numgen", mode: "random", modulus: backends.length, offset: 0 } as const;
    const elements = backends.map((backend, index) =>
      element(number(index), goto(this.#namesOf(backend).chain))
    );
    rules.push(rule([verdictMap(choice, { kind: "set", elements })]));
    this.#chain(name, rules);
  }

  #clusterIPMasquerade(): Rule[] {
    const { family, ifNotLocal } = this.#context;
    return this.#port.frontends.flatMap(({ kind, address: text, routes: { pod, outside } }) => {
      if (kind !== "ClusterIP") return [];
      const toIt = match(address(family, "daddr"), addressValue(text!));
      const everyone = pod.action === "forward" && pod.masquerade;
      if (everyone) return [rule([toIt, jump(CHAIN.markMasquerade)])];
      const others = outside.action === "forward" && outside.masquerade;
      if (!others || ifNotLocal === null) return [];
      return [rule([toIt, ifNotLocal, jump(CHAIN.markMasquerade)])];
    });
  }

  /** Masquerade for policy Cluster; the ways around policy Local for pods and the node itself. */
  #externalChain(): void {
    const { external, cluster } = this.#chains;
    const rules: Rule[] = [];
    const toCluster = verdict(goto(cluster));
    if (this.#port.externalTrafficPolicy === "Cluster") {
      rules.push(rule([jump(CHAIN.markMasquerade)]));
    } else {
      const { ifLocal } = this.#context;
      const hasCluster = this.#port.cluster.length > 0;
      if (ifLocal !== null && hasCluster) {
        rules.push(rule([ifLocal, toCluster], "short-circuit pod traffic"));
      }
      const fromNode = isLocal("saddr");
      rules.push(rule([fromNode, jump(CHAIN.markMasquerade)], "masquerade local traffic"));
      if (hasCluster) rules.push(rule([fromNode, toCluster], "short-circuit local traffic"));
    }
    if (this.#external.usable) rules.push(rule([verdict(goto(this.#external.chain))]));
    this.#chain(external, rules);
  }

  /** All addresses of load balancers have the same source ranges. */
  #firewallChain(): void {
    const ranges = this.#port.frontends.map((frontend) => this.#sourceRanges(frontend))
      .find((ranges) => ranges.length > 0);
    if (ranges === undefined) return;
    const source = address(this.#context.family, "saddr");
    const elsewhere = match(source, networksValue(ranges), "!=");
    this.#chain(this.#chains.firewall, [rule([elsewhere, verdict(DROP)])]);
  }
}

/** Has the set know the source for as long as it says, from now on. */
function remember(set: string, key: ReturnType<typeof address>): Statement {
  return {
    kind: "update",
    operation: "update",
    set,
    key,
    data: null,
    timeout: null,
    statements: [],
  };
}

function destinationNat({ address, port }: Backend): Statement {
  return {
    kind: "nat",
    type: "dnat",
    family: null,
    address: addressValue(address),
    port: number(port),
    pair: false,
    flags: [],
  };
}

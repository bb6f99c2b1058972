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
import { CHAIN, endpointKey, type ServiceChains, serviceChains } from "./names.ts";
import { COUNTERS, type RuleContext } from "./options.ts";
import { reachable } from "./renderable.ts";
import { comment, type Fragment, FragmentBuilder } from "./rules.ts";

/** Rules of a Service in the context's family; null when it has no port in it. */
export function renderService(
  service: ServicePlan,
  context: RuleContext,
  options: { readonly endpointComments: boolean },
): Fragment | null {
  const ports = service.ports.filter((port) => port.family === context.family);
  if (ports.length === 0) return null;
  const out = new FragmentBuilder(ports.reduce((sum, port) => sum + port.endpoints.length, 0));
  for (const port of ports) {
    new PortRules(port, service.healthCheckNodePort, context, options.endpointComments, out)
      .write();
  }
  return out.build();
}

/**
 * Writes the rules of one Service port. Parts of rules are texts: empty, or words with a space after
 * each.
 */
class PortRules {
  readonly #port: ServicePortPlan;
  readonly #healthCheckNodePort: number;
  readonly #context: RuleContext;
  readonly #endpointComments: boolean;
  readonly #out: FragmentBuilder;
  readonly #name: string;
  readonly #chains: ServiceChains;
  /** Matches the protocol. */
  readonly #protocol: string;
  /** Where traffic to the cluster IP goes. */
  readonly #internal: { readonly chain: string; readonly usable: boolean };
  /** Where traffic from outside goes at last. */
  readonly #external: { readonly chain: string; readonly usable: boolean };
  readonly #vips: readonly string[];
  readonly #sourceRanges: readonly string[];

  constructor(
    port: ServicePortPlan,
    healthCheckNodePort: number,
    context: RuleContext,
    endpointComments: boolean,
    out: FragmentBuilder,
  ) {
    this.#port = port;
    this.#healthCheckNodePort = healthCheckNodePort;
    this.#context = context;
    this.#endpointComments = endpointComments;
    this.#out = out;
    this.#name = servicePortName(port);
    this.#chains = serviceChains(port, context.chainNaming);
    const protocol = port.protocol.toLowerCase();
    this.#protocol = `-m ${protocol} -p ${protocol} `;
    this.#internal = this.#policyChain(port.internalTrafficPolicy);
    this.#external = this.#policyChain(port.externalTrafficPolicy);
    this.#vips = this.#addresses("LoadBalancer");
    this.#sourceRanges = port.frontends.find(({ kind }) => kind === "LoadBalancer")?.sourceRanges ??
      [];
  }

  write(): void {
    this.#clusterIP();
    this.#externalIPs();
    this.#loadBalancerIPs();
    this.#nodePort();
    this.#healthCheck();
    this.#clusterIPMasquerade();
    if (this.#usesExternal) this.#externalChain();
    if (this.#usesFirewall) this.#firewallChain();
    this.#endpointDispatch(this.#chains.cluster, this.#port.cluster);
    this.#endpointDispatch(this.#chains.local, this.#port.local);
    for (const backend of reachable(this.#port)) this.#endpointChain(backend);
  }

  get #usesExternal(): boolean {
    return this.#port.hasEndpoints &&
      this.#port.frontends.some((frontend) => frontend.kind !== "ClusterIP");
  }

  get #usesFirewall(): boolean {
    return this.#port.hasEndpoints && this.#vips.length > 0 && this.#sourceRanges.length > 0;
  }

  #policyChain(policy: "Cluster" | "Local"): { chain: string; usable: boolean } {
    return policy === "Local"
      ? { chain: this.#chains.local, usable: this.#port.local.length > 0 }
      : { chain: this.#chains.cluster, usable: this.#port.cluster.length > 0 };
  }

  #frontends(kind: Frontend["kind"]): Frontend[] {
    return this.#port.frontends.filter((frontend) => frontend.kind === kind);
  }

  #addresses(kind: Frontend["kind"]): string[] {
    return this.#frontends(kind).map((frontend) => frontend.address!);
  }

  /** Matches a frontend of one address. */
  #match({ address, port }: Frontend): string {
    return `${this.#protocol}-d ${address} --dport ${port} `;
  }

  /** Begins with the name of the port. */
  #comment(text: string): string {
    return `${comment(this.#name + text).join(" ")} `;
  }

  /** The rule that refuses, or drops, what has no usable endpoint. */
  #refuse(chain: string, match: string): void {
    const [reason, target] = this.#port.hasEndpoints
      ? [" has no local endpoints", "DROP"]
      : [" has no endpoints", "REJECT"];
    this.#out.rule("filter", chain, `${this.#comment(reason)}${match}-j ${target}`);
  }

  #nat(chain: string, text: string, match: string, target: string): void {
    this.#out.rule("nat", chain, `${text}${match}-j ${target}`);
  }

  #clusterIP(): void {
    const { chain, usable } = this.#internal;
    for (const frontend of this.#frontends("ClusterIP")) {
      const match = this.#match(frontend);
      if (!usable) this.#refuse(CHAIN.services, match);
      else this.#nat(CHAIN.services, this.#comment(" cluster IP"), match, chain);
    }
  }

  #externalIPs(): void {
    for (const frontend of this.#frontends("ExternalIP")) {
      const match = this.#match(frontend);
      if (this.#usesExternal) {
        const text = this.#comment(" external IP");
        this.#nat(CHAIN.services, text, match, this.#chains.external);
      }
      if (!this.#external.usable) this.#refuse(CHAIN.externalServices, match);
    }
  }

  #loadBalancerIPs(): void {
    const frontends = this.#frontends("LoadBalancer");
    const { external, firewall } = this.#chains;
    for (const frontend of frontends) {
      const match = this.#match(frontend);
      if (this.#usesExternal) {
        const target = this.#usesFirewall ? firewall : external;
        this.#nat(CHAIN.services, this.#comment(" loadbalancer IP"), match, target);
      }
      if (this.#usesFirewall) {
        // Whatever the firewall chain did not accept comes here with its destination unchanged.
        const text = this.#comment(` traffic not accepted by ${firewall}`);
        this.#out.rule("filter", CHAIN.proxyFirewall, `${text}${match}-j DROP`);
      }
    }
    if (this.#external.usable) return;
    for (const frontend of frontends) this.#refuse(CHAIN.externalServices, this.#match(frontend));
  }

  #nodePort(): void {
    const { localhostNodePorts, counters } = this.#context;
    for (const { port } of this.#frontends("NodePort")) {
      const dport = `--dport ${port} `;
      if (this.#usesExternal) {
        const text = this.#comment("");
        if (localhostNodePorts && counters.has(COUNTERS.localhostNodePorts)) {
          const count = `-m nfacct --nfacct-name ${COUNTERS.localhostNodePorts} `;
          const match = `${this.#protocol}-d 127.0.0.0/8 ${dport}${count}`;
          this.#nat(CHAIN.nodePorts, text, match, this.#chains.external);
        }
        this.#nat(CHAIN.nodePorts, text, `${this.#protocol}${dport}`, this.#chains.external);
      }
      if (!this.#external.usable) {
        const match = `-m addrtype --dst-type LOCAL ${this.#protocol}${dport}`;
        this.#refuse(CHAIN.externalServices, match);
      }
    }
  }

  #healthCheck(): void {
    const port = this.#healthCheckNodePort;
    if (port === 0) return;
    const text = this.#comment(" health check node port");
    this.#out.rule("filter", CHAIN.nodePorts, `${text}-m tcp -p tcp --dport ${port} -j ACCEPT`);
  }

  #clusterIPMasquerade(): void {
    const { chain, usable } = this.#internal;
    if (!usable) return;
    for (const frontend of this.#frontends("ClusterIP")) {
      const { pod, outside } = frontend.routes;
      const everyone = pod.action === "forward" && pod.masquerade;
      const others = outside.action === "forward" && outside.masquerade;
      const match = this.#match(frontend);
      const text = this.#comment(" cluster IP");
      if (everyone) this.#nat(chain, text, match, CHAIN.markMasquerade);
      else if (others && this.#context.ifNotLocal !== null) {
        const from = `${this.#context.ifNotLocal.join(" ")} `;
        this.#nat(chain, text, match + from, CHAIN.markMasquerade);
      }
    }
  }

  /** Masquerade for policy Cluster; the ways around policy Local for pods and the node itself. */
  #externalChain(): void {
    const { external, cluster } = this.#chains;
    this.#out.chains("nat", external);
    const rule = (what: string, match: string, target: string) => {
      const text = comment(`${what} for ${this.#name} external destinations`).join(" ");
      this.#nat(external, `${text} `, match, target);
    };
    if (this.#port.externalTrafficPolicy === "Cluster") {
      rule("masquerade traffic", "", CHAIN.markMasquerade);
    } else {
      const { ifLocal } = this.#context;
      const fromNode = "-m addrtype --src-type LOCAL ";
      const hasCluster = this.#port.cluster.length > 0;
      if (ifLocal !== null && hasCluster) rule("pod traffic", `${ifLocal.join(" ")} `, cluster);
      rule("masquerade LOCAL traffic", fromNode, CHAIN.markMasquerade);
      if (hasCluster) rule("route LOCAL traffic", fromNode, cluster);
    }
    if (this.#external.usable) this.#nat(external, "", "", this.#external.chain);
  }

  #firewallChain(): void {
    const { firewall, external } = this.#chains;
    this.#out.chains("nat", firewall);
    const { networks, vips } = splitSources(this.#sourceRanges, this.#vips, this.#port.family);
    for (const source of [...networks, ...vips]) {
      this.#nat(firewall, this.#comment(" loadbalancer IP"), `-s ${source} `, external);
    }
    const text = `other traffic to ${this.#name} will be dropped by ${CHAIN.proxyFirewall}`;
    this.#out.rule("nat", firewall, ...comment(text));
  }

  /** Chooses among endpoints: by affinity, else each with equal probability. */
  #endpointDispatch(chain: string, backends: readonly Backend[]): void {
    if (backends.length === 0) return;
    this.#out.chains("nat", chain);
    const seconds = this.#port.affinitySeconds;
    if (seconds !== null) {
      for (const backend of backends) {
        const list = `-m recent --name ${this.#chains.endpoint(backend)} `;
        this.#toEndpoint(chain, `${list}--rcheck --seconds ${seconds} --reap `, backend);
      }
    }
    backends.forEach((backend, index) => {
      const left = backends.length - index;
      const match = left === 1 ? "" : `-m statistic --mode random --probability ${oneIn(left)} `;
      this.#toEndpoint(chain, match, backend);
    });
  }

  #toEndpoint(chain: string, match: string, backend: Backend): void {
    const text = this.#endpointComments ? this.#comment(` -> ${endpointKey(backend)}`) : "";
    this.#nat(chain, text, match, this.#chains.endpoint(backend));
  }

  #endpointChain(backend: Backend): void {
    const chain = this.#chains.endpoint(backend);
    const text = this.#endpointComments ? this.#comment("") : "";
    const recent = this.#port.affinitySeconds === null ? "" : `-m recent --name ${chain} --set `;
    this.#out.chains("nat", chain);
    // Hairpin: an endpoint that reaches itself must see another source than its own.
    this.#nat(chain, text, `-s ${backend.address} `, CHAIN.markMasquerade);
    const dnat = `DNAT --to-destination ${endpointKey(backend)}`;
    this.#nat(chain, text, recent + this.#protocol, dnat);
  }
}

/** By count: clusters have few, and making one takes as long as rendering an endpoint. */
const probabilities = new Map<number, string>();

/**
 * The probability that matches one packet in so many. kube-proxy's digits are Go's, which rounds a
 * tie to the even neighbour: the only reciprocal with a tie at the tenth decimal is 1/2048.
 */
export function oneIn(count: number): string {
  let digits = probabilities.get(count);
  if (digits === undefined) {
    digits = count === 2048 ? "0.0004882812" : (1 / count).toFixed(10);
    probabilities.set(count, digits);
  }
  return digits;
}

/**
 * Takes the admitted sources apart: networks of the Service, and the balancer's own addresses,
 * which the plan appends as host networks when the networks admit this node.
 */
function splitSources(
  sources: readonly string[],
  vips: readonly string[],
  family: ServicePortPlan["family"],
): { networks: readonly string[]; vips: readonly string[] } {
  const width = family === "IPv4" ? 32 : 128;
  const hosts = new Set(vips.map((vip) => `${vip}/${width}`));
  let end = sources.length;
  while (end > 0 && hosts.has(sources[end - 1])) end--;
  if (end === 0 || end === sources.length) return { networks: sources, vips: [] };
  return { networks: sources.slice(0, end), vips };
}

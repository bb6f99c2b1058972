/**
 * The rules around virtual servers: masquerading, filters, and where a Service has two lists of
 * endpoints. They speak of sets, so there are as many of them however many Services there are.
 *
 * @module
 */

import { type Chains, collectChains, comment, FragmentBuilder } from "../iptables/rules.ts";
import type { TableName } from "../iptables/rules.ts";
import { CHAIN, CHAINS, type SetId, setName, SETS } from "./names.ts";
import type { IpvsContext } from "./options.ts";

/** What of the rules depends on Services. */
export interface RuleInputs {
  /** Sets with entries: rules about others are left out. */
  readonly filled: ReadonlySet<SetId>;
  readonly sourceFilters: readonly string[];
  readonly shortCircuits: readonly string[];
}

/** The chains of each table. Every chain is there, also when it is empty. */
export function renderRules(
  context: IpvsContext,
  inputs: RuleInputs,
): Readonly<Record<TableName, Chains>> {
  const out = new FragmentBuilder();
  for (const table of ["nat", "filter"] as const) out.chains(table, ...CHAINS[table]);
  const rules = new RuleWriter(context, inputs, out);
  rules.nat();
  rules.filter();
  const fragment = out.build();
  return {
    nat: collectChains([fragment], "nat"),
    filter: collectChains([fragment], "filter"),
  };
}

const NEW = ["-m", "conntrack", "--ctstate", "NEW"];
const FROM_NODE = ["-m", "addrtype", "--src-type", "LOCAL"];
const NOT_FROM_NODE = ["-m", "addrtype", "!", "--src-type", "LOCAL"];
const TO_NODE = ["-m", "addrtype", "--dst-type", "LOCAL"];

/** What of a packet is looked up in a set. */
type Direction = "dst" | "dst,dst" | "src,dst" | "dst,dst,src";

class RuleWriter {
  readonly #context: IpvsContext;
  readonly #inputs: RuleInputs;
  readonly #out: FragmentBuilder;

  constructor(context: IpvsContext, inputs: RuleInputs, out: FragmentBuilder) {
    this.#context = context;
    this.#inputs = inputs;
    this.#out = out;
  }

  nat(): void {
    const loopback = this.#context.family === "IPv4" ? "127.0.0.0/8" : "::1/128";
    this.#rule("nat", CHAIN.services, "-s", loopback, "-j", "RETURN");
    this.#shortCircuits();
    this.#postrouting();
    this.#loadBalancers();
    this.#nodePorts();
    this.#clusterIPs();
    this.#externalIPs();
    this.#rule("nat", CHAIN.services, ...TO_NODE, "-j", CHAIN.nodePort);
    this.#rule("nat", CHAIN.loadBalancer, "-j", CHAIN.markMasquerade);
    for (const set of ["clusterIP", "loadBalancer"] as const) {
      if (this.#has(set)) {
        this.#rule("nat", CHAIN.services, ...this.#match(set, "dst,dst"), "-j", "ACCEPT");
      }
    }
    this.#rule("nat", CHAIN.markMasquerade, "-j", "MARK", "--or-mark", this.#context.mark);
  }

  filter(): void {
    this.#forwarding();
    this.#rule(
      "filter",
      CHAIN.nodePort,
      ...comment("Kubernetes health check node port"),
      ...this.#match("healthCheck", "dst"),
      ...["-j", "ACCEPT"],
    );
    this.#sourceRanges();
    this.#hostPorts();
    this.#policy();
  }

  #rule(table: TableName, chain: string, ...words: readonly string[]): void {
    this.#out.rule(table, chain, ...words);
  }

  #has(set: SetId): boolean {
    return this.#inputs.filled.has(set);
  }

  #match(set: SetId, direction: Direction): string[] {
    return ["-m", "set", "--match-set", setName(set, this.#context.family), direction];
  }

  /** A rule about a set, below the set's text; none when the set is empty. */
  #about(
    set: SetId,
    direction: Direction,
    table: TableName,
    chain: string,
    target: readonly string[],
    protocol: readonly string[] = [],
  ): void {
    if (!this.#has(set)) return;
    const words = [...protocol, ...comment(SETS[set].text), ...this.#match(set, direction)];
    this.#rule(table, chain, ...words, ...target);
  }

  /**
   * Leads to the cluster IP who is to get the list of endpoints behind that. A source that a load
   * balancer does not admit goes on instead, to be dropped.
   */
  #shortCircuits(): void {
    const { ifLocal, ifNotLocal } = this.#context;
    const enter = ["-j", CHAIN.shortCircuit];
    const lead = (set: SetId, source: readonly string[]) =>
      this.#about(set, "dst,dst", "nat", CHAIN.services, [...source, ...enter]);
    if (ifLocal !== null) lead("allInside", ifLocal);
    lead("allInside", FROM_NODE);
    lead("localOutside", [...NOT_FROM_NODE, ...ifNotLocal ?? []]);
    const { shortCircuits } = this.#inputs;
    if (shortCircuits.length === 0) return;
    const chain = CHAIN.shortCircuit;
    if (this.#has("loadBalancerFirewall")) {
      const refused = (["sourceCIDR", "sourceIP"] as const).filter((set) => this.#has(set))
        .flatMap((set) => ["-m", "set", "!", ...this.#match(set, "dst,dst,src").slice(2)]);
      const guarded = this.#match("loadBalancerFirewall", "dst,dst");
      this.#rule("nat", chain, ...guarded, ...refused, "-j", "RETURN");
    }
    this.#rule("nat", chain, ...FROM_NODE, ...ifNotLocal ?? [], "-j", CHAIN.markMasquerade);
    for (const spec of shortCircuits) this.#out.rule("nat", chain, spec);
  }

  #postrouting(): void {
    const { mark, randomFully } = this.#context;
    const chain = CHAIN.postrouting;
    this.#about("loopBack", "dst,dst,src", "nat", chain, ["-j", "MASQUERADE"]);
    this.#rule("nat", chain, "-m", "mark", "!", "--mark", `${mark}/${mark}`, "-j", "RETURN");
    // The mark is cleared, so that a packet which comes by again is not masqueraded twice.
    this.#rule("nat", chain, "-j", "MARK", "--xor-mark", mark);
    this.#rule(
      "nat",
      chain,
      ...comment("kubernetes service traffic requiring SNAT"),
      ...["-j", "MASQUERADE", ...(randomFully ? ["--random-fully"] : [])],
    );
  }

  /**
   * The node's own packets have the dialled address as their source when it is on kube-ipvs0, which
   * endpoints must not see; kube-proxy forgets them where the policy is Local.
   */
  #masqueradeNode(set: SetId, direction: Direction, chain: string, protocol?: string[]): void {
    const target = [...FROM_NODE, ...this.#context.ifNotLocal ?? [], "-j", CHAIN.markMasquerade];
    this.#about(set, direction, "nat", chain, target, protocol);
  }

  #loadBalancers(): void {
    const { services, loadBalancer } = CHAIN;
    this.#about("loadBalancer", "dst,dst", "nat", services, ["-j", loadBalancer]);
    this.#masqueradeNode("loadBalancerLocal", "dst,dst", loadBalancer);
    this.#about("loadBalancerLocal", "dst,dst", "nat", loadBalancer, ["-j", "RETURN"]);
  }

  #nodePorts(): void {
    const sets = [
      ["tcp", "dst", "nodePortTCP", "nodePortLocalTCP"],
      ["udp", "dst", "nodePortUDP", "nodePortLocalUDP"],
      ["sctp", "dst,dst", "nodePortSCTP", "nodePortLocalSCTP"],
    ] as const;
    for (const [name, direction, all, local] of sets) {
      const protocol = ["-p", name];
      const to = (set: SetId, target: string) =>
        this.#about(set, direction, "nat", CHAIN.nodePort, ["-j", target], protocol);
      this.#masqueradeNode(local, direction, CHAIN.nodePort, protocol);
      to(local, "RETURN");
      to(all, CHAIN.markMasquerade);
    }
  }

  #clusterIPs(): void {
    const { masqueradeAll, ifNotLocal } = this.#context;
    const target = ["-j", CHAIN.markMasquerade];
    const direction = masqueradeAll || ifNotLocal !== null ? "dst,dst" : "src,dst";
    const who = masqueradeAll ? [] : ifNotLocal ?? [];
    this.#about("clusterIP", direction, "nat", CHAIN.services, [...who, ...target]);
  }

  /** Whoever is led past the rules for node ports here is not masqueraded because of them. */
  #externalIPs(): void {
    const chain = CHAIN.services;
    this.#about("externalIP", "dst,dst", "nat", chain, ["-j", CHAIN.markMasquerade]);
    const bridged = ["-m", "physdev", "!", "--physdev-is-in", ...NOT_FROM_NODE];
    const accept = (set: SetId) => {
      this.#about(set, "dst,dst", "nat", chain, [...bridged, "-j", "ACCEPT"]);
      this.#about(set, "dst,dst", "nat", chain, [...TO_NODE, "-j", "ACCEPT"]);
    };
    accept("externalIP");
    this.#masqueradeNode("externalIPLocal", "dst,dst", chain);
    accept("externalIPLocal");
  }

  #forwarding(): void {
    const { mark } = this.#context;
    this.#rule(
      "filter",
      CHAIN.forward,
      ...comment("kubernetes forwarding rules"),
      ...["-m", "mark", "--mark", `${mark}/${mark}`, "-j", "ACCEPT"],
    );
    this.#rule(
      "filter",
      CHAIN.forward,
      ...comment("kubernetes forwarding conntrack rule"),
      ...["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
    );
  }

  #sourceRanges(): void {
    const { proxyFirewall, sourceRanges } = CHAIN;
    this.#about("loadBalancerFirewall", "dst,dst", "filter", proxyFirewall, ["-j", sourceRanges]);
    for (const set of ["sourceCIDR", "sourceIP"] as const) {
      this.#about(set, "dst,dst,src", "filter", sourceRanges, ["-j", "RETURN"]);
    }
    this.#rule("filter", sourceRanges, "-j", "DROP");
    for (const spec of this.#inputs.sourceFilters) this.#out.rule("filter", CHAIN.outFilter, spec);
  }

  /** What listens on this node is not to be reached at Services' addresses, but echo is answered. */
  #hostPorts(): void {
    const pass = (...match: readonly string[]) =>
      this.#rule("filter", CHAIN.filter, ...match, "-j", "RETURN");
    for (const set of ["loadBalancer", "clusterIP", "externalIP", "externalIPLocal"] as const) {
      pass(...this.#match(set, "dst,dst"));
    }
    pass(...this.#match("healthCheck", "dst"));
    const echo = this.#context.family === "IPv4"
      ? ["-p", "icmp", "-m", "icmp", "--icmp-type", "8"]
      : ["-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", "128"];
    pass(...echo);
    const ours = this.#match("addresses", "dst");
    this.#rule("filter", CHAIN.filter, ...NEW, ...ours, "-j", "REJECT");
  }

  /**
   * At the end of INPUT and OUTPUT, after the firewall of load balancers: whom that drops is not to be
   * told anything.
   */
  #policy(): void {
    for (const last of [CHAIN.nodePort, CHAIN.outFilter]) {
      const text = comment("kubernetes ipvs endpoint policy");
      this.#rule("filter", last, ...text, "-j", CHAIN.policy);
    }
    const verdict = (
      set: SetId,
      match: readonly string[],
      target: readonly string[],
      tcp = false,
    ) =>
      this.#about(
        set,
        "dst,dst",
        "filter",
        CHAIN.policy,
        [...NEW, ...match, "-j", ...target],
        tcp ? ["-p", "tcp"] : [],
      );
    verdict("reject", [], ["REJECT", "--reject-with", "tcp-reset"], true);
    verdict("reject", [], ["REJECT"]);
    verdict("drop", [], ["DROP"]);
    const outside = [...this.#context.ifNotLocal ?? [], ...NOT_FROM_NODE];
    verdict("dropOutside", outside, ["DROP"]);
  }
}

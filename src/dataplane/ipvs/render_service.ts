/**
 * One Service as virtual servers, addresses, entries of sets, and rules: kube-proxy's for all that
 * kube-proxy does in ipvs mode.
 *
 * @module
 */

import { networkContains, parseNetwork } from "../../net/address.ts";
import {
  type Frontend,
  type SchedulerFlagName,
  type ServicePlan,
  servicePortName,
  type ServicePortPlan,
} from "../../plan/plan.ts";
import { endpointKey } from "../iptables/names.ts";
import { comment } from "../iptables/rules.ts";
import type { IpvsFragment, SetMember } from "./fragment.ts";
import type { SetId } from "./names.ts";
import type { DefaultScheduling, IpvsContext, KernelScheduler } from "./options.ts";
import { clusterIPOf, frontendRouting, type ListName } from "./routing.ts";
import { realName } from "./servers.ts";
import {
  type RealServerState,
  type ServerKey,
  serverName,
  type VirtualServerState,
} from "./state.ts";

/** What a Service contributes in the context's family; null when it has no port in it. */
export function renderService(service: ServicePlan, context: IpvsContext): IpvsFragment | null {
  const ports = service.ports.filter((port) => port.family === context.family);
  if (ports.length === 0) return null;
  const parts = new ServiceParts(context);
  for (const port of ports) parts.addPort(port);
  if (service.healthCheckNodePort !== 0) {
    parts.members.push(["healthCheck", String(service.healthCheckNodePort)]);
  }
  return parts;
}

/** The sets of node ports by protocol: all, and those with policy Local. */
const NODE_PORT_SETS: Readonly<Record<ServicePortPlan["protocol"], readonly [SetId, SetId]>> = {
  TCP: ["nodePortTCP", "nodePortLocalTCP"],
  UDP: ["nodePortUDP", "nodePortLocalUDP"],
  SCTP: ["nodePortSCTP", "nodePortLocalSCTP"],
};

/** Collects what a Service contributes. */
class ServiceParts implements IpvsFragment {
  readonly servers: VirtualServerState[] = [];
  readonly nodePortServers: VirtualServerState[] = [];
  readonly addresses: string[] = [];
  readonly members: SetMember[] = [];
  readonly sourceFilters: string[] = [];
  readonly shortCircuits: string[] = [];
  readonly nodePortShortCircuits: string[] = [];
  readonly problems: string[] = [];
  readonly #context: IpvsContext;

  constructor(context: IpvsContext) {
    this.#context = context;
  }

  addPort(port: ServicePortPlan): void {
    for (const { address, port: number, local, node } of port.endpoints) {
      if (!isForwardable(address)) this.#leaveOut(port, address);
      else if (local || node === undefined) {
        // What is on another node cannot ask itself here; kube-proxy forgets those on no known one.
        this.members.push(["loopBack", `${member(address, number, port)},${address}`]);
      }
    }
    for (const frontend of port.frontends) this.#addFrontend(port, frontend);
  }

  #leaveOut(port: ServicePortPlan, endpoint: string): void {
    this.#tell(port, `endpoint ${endpoint}: IPVS forwards to no such address`);
  }

  #tell(port: ServicePortPlan, problem: string): void {
    const text = `${servicePortName(port)}: ${problem}`;
    if (!this.problems.includes(text)) this.problems.push(text);
  }

  #addFrontend(port: ServicePortPlan, frontend: Frontend): void {
    const { address } = frontend;
    if (address !== null && !isBindable(address)) {
      this.#tell(port, `address ${address}: no Service can have it`);
      return;
    }
    const addresses = address === null ? this.#context.nodePortAddresses : [address];
    const { list, verdict, shortCircuit } = frontendRouting(port, frontend);
    if (list !== null) {
      const servers = address === null ? this.nodePortServers : this.servers;
      for (const one of addresses) servers.push(this.#server(port, frontend, one, list));
    }
    if (address === null) this.#addNodePort(port, frontend);
    else {
      // As in kube-proxy, what another link of the node has already is left there. So are cluster
      // IPs here: whoever gives a Service the node's own address must not lock its ports.
      if (!this.#context.elsewhere.has(address)) {
        this.addresses.push(address);
        this.members.push(["addresses", address]);
      }
      this.#addToSets(port, frontend, address);
    }
    const into = (set: SetId) => {
      for (const one of addresses) this.members.push([set, member(one, frontend.port, port)]);
    };
    if (verdict !== null) into(VERDICT_SETS[verdict]);
    if (shortCircuit !== null) {
      into(shortCircuit === "inside" ? "allInside" : "localOutside");
      this.#addShortCircuit(port, frontend);
    }
  }

  #server(
    port: ServicePortPlan,
    frontend: Frontend,
    address: string,
    list: ListName | "none",
  ): VirtualServerState {
    const key = { protocol: port.protocol, address, port: frontend.port };
    const realServers: RealServerState[] = [];
    for (const { address, port: number, weight } of list === "none" ? [] : port[list]) {
      if (!isForwardable(address)) continue;
      const real = { address, port: number, weight };
      if (this.#isRefused(key, real)) this.#leaveOut(port, address);
      else realServers.push(real);
    }
    return {
      key,
      ...this.#scheduling(port),
      persistenceSeconds: port.affinitySeconds,
      realServers,
    };
  }

  #isRefused(key: ServerKey, real: RealServerState): boolean {
    const { refusedReals } = this.#context;
    return refusedReals.size > 0 && refusedReals.has(`${serverName(key)} ${realName(real)}`);
  }

  #scheduling(port: ServicePortPlan): DefaultScheduling {
    const { scheduling, missingSchedulers } = this.#context;
    const { scheduler, flags } =
      port.scheduler === "random" || missingSchedulers.has(port.scheduler)
        ? scheduling
        : { scheduler: port.scheduler, flags: port.schedulerFlags ?? [] };
    return { scheduler, flags: fallingBack(scheduler, flags) };
  }

  #addToSets(port: ServicePortPlan, frontend: Frontend, address: string): void {
    const entry = member(address, frontend.port, port);
    const local = port.externalTrafficPolicy === "Local";
    switch (frontend.kind) {
      case "ClusterIP":
        this.members.push(["clusterIP", entry]);
        break;
      case "ExternalIP":
        this.members.push([local ? "externalIPLocal" : "externalIP", entry]);
        break;
      case "LoadBalancer":
        this.members.push(["loadBalancer", entry]);
        if (local) this.members.push(["loadBalancerLocal", entry]);
        if (frontend.sourceRanges !== null) {
          this.#addSourceRanges(port, frontend, address, frontend.sourceRanges);
        }
    }
  }

  #addSourceRanges(
    port: ServicePortPlan,
    frontend: Frontend,
    address: string,
    ranges: readonly string[],
  ): void {
    const entry = member(address, frontend.port, port);
    const itself = hostNetwork(address);
    this.members.push(["loadBalancerFirewall", entry]);
    for (const range of ranges) {
      if (range === itself) this.members.push(["sourceIP", `${entry},${address}`]);
      else for (const half of halves(range)) this.members.push(["sourceCIDR", `${entry},${half}`]);
    }
    // The node's own packets never come in: IPVS has sent them off before they could be filtered.
    const networks = ranges.map((range) => parseNetwork(range)!);
    const protocol = port.protocol.toLowerCase();
    for (const source of [address, ...this.#context.nodeAddresses]) {
      if (networks.some((network) => networkContains(network, source))) continue;
      const server = `--vaddr ${address} --vproto ${protocol} --vport ${frontend.port}`;
      this.sourceFilters.push(`-s ${source} -m ipvs ${server} -j DROP`);
    }
  }

  #addNodePort(port: ServicePortPlan, frontend: Frontend): void {
    const [all, local] = NODE_PORT_SETS[port.protocol];
    const sets = port.externalTrafficPolicy === "Local" ? [all, local] : [all];
    const entries = port.protocol === "SCTP"
      ? this.#context.nodePortAddresses.map((address) => member(address, frontend.port, port))
      : [String(frontend.port)];
    for (const set of sets) for (const entry of entries) this.members.push([set, entry]);
  }

  #addShortCircuit(port: ServicePortPlan, { address, port: number }: Frontend): void {
    const clusterIP = clusterIPOf(port)!;
    const protocol = port.protocol.toLowerCase();
    const words = [
      ...comment(servicePortName(port)),
      ...["-m", protocol, "-p", protocol],
      ...(address === null ? [] : ["-d", address]),
      ...["--dport", String(number), "-j", "DNAT", "--to-destination"],
      endpointKey({ address: clusterIP.address!, port: clusterIP.port }),
    ];
    (address === null ? this.nodePortShortCircuits : this.shortCircuits).push(words.join(" "));
  }
}

/**
 * The flags of a scheduler, and the one by which it passes over servers of weight 0. Without that,
 * those that hash refuse whoever comes to a server that leaves, for as long as it does; who comes to
 * another gets the same either way. kube-proxy asks for none of it.
 */
function fallingBack(
  scheduler: KernelScheduler,
  flags: readonly SchedulerFlagName[],
): readonly SchedulerFlagName[] {
  if (scheduler !== "sh" && scheduler !== "mh") return flags;
  const fallback = `${scheduler}-fallback` as const;
  return flags.includes(fallback) ? flags : [fallback, ...flags];
}

/**
 * Whether a Service may have an address, all other ports of which are refused then: with a loopback
 * address, nothing of the node would reach anything else of it. The API server sees to that for all
 * but what load balancers say of themselves.
 */
function isBindable(address: string): boolean {
  return isForwardable(address) && address !== "::1" && !address.startsWith("127.");
}

/**
 * Whether the kernel takes an address for a host's, as far as that does not depend on the node's own:
 * see `__inet_dev_addr_type` and ip_vs_ctl.c.
 */
function isForwardable(address: string): boolean {
  if (address.includes(":")) return address !== "::" && !/^(fe[89ab]|ff)/.test(address);
  const first = parseInt(address, 10);
  return first !== 0 && (first < 224 || first > 239) && address !== "255.255.255.255";
}

const VERDICT_SETS = {
  "reject": "reject",
  "drop": "drop",
  "drop-outside": "dropOutside",
} as const satisfies Readonly<Record<string, SetId>>;

/** "10.96.0.1,tcp:80". */
function member(
  address: string,
  number: number,
  { protocol }: Pick<ServicePortPlan, "protocol">,
): string {
  return `${address},${protocol.toLowerCase()}:${number}`;
}

function hostNetwork(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}

/** A network as sets can hold it: not of prefix 0, and without a prefix when it is an address. */
function halves(range: string): readonly string[] {
  if (range === "0.0.0.0/0") return ["0.0.0.0/1", "128.0.0.0/1"];
  if (range === "::/0") return ["::/1", "8000::/1"];
  const host = range.includes(":") ? "/128" : "/32";
  return [range.endsWith(host) ? range.slice(0, -host.length) : range];
}

/**
 * IPVS as the packet's way through the hooks meets it: which virtual server takes a connection's
 * first packet, and which real servers it may get.
 * Kernel: net/netfilter/ipvs/ip_vs_core.c (ip_vs_in, ip_vs_schedule), ip_vs_ctl.c (ip_vs_service_find).
 *
 * @module
 */

import { serverName } from "../../dataplane/ipvs/state.ts";
import { formatSocketAddress } from "../../net/address.ts";
import type { UnknownRule } from "../answer.ts";
import { toNumber } from "../fraction.ts";
import type { BalancedWay, Balancer, BalancerStep, Scheduled } from "../netfilter/balancer.ts";
import type { Packet } from "../netfilter/packet.ts";
import { type Choice, choose } from "./schedulers.ts";
import type { Method, RealServer, VirtualServer, VirtualServers } from "./servers.ts";

/** What is known of IPVS beside its servers. */
export interface BalancerKnowledge {
  /** Which clients stay with their real server: none, as before the first one, or nobody can say. */
  readonly templates: "none" | "not given";
  /** Addresses that the node is only taken to have. */
  readonly assumed: ReadonlySet<string>;
}

const METHODS = { masquerade: "MASQ", direct: "GATE", tunnel: "IPIP" } as const satisfies Record<
  Method,
  BalancedWay["method"]
>;

const PASS: Scheduled = { ways: [], refused: null, unknown: [] };

/** The first port that FTP's data connections may be made to. */
const UNPRIVILEGED = 1024;
const FTP = 21;
const FTP_DATA = 20;

/** The virtual servers of one family. */
export class VirtualServerBalancer implements Balancer {
  readonly #servers: VirtualServers;
  readonly #knowledge: BalancerKnowledge;

  constructor(servers: VirtualServers, knowledge: BalancerKnowledge) {
    this.#servers = servers;
    this.#knowledge = knowledge;
  }

  schedule(packet: Packet): Scheduled {
    const server = this.#find(packet);
    if (server === null) return PASS;
    const scheduled = this.#ask(server, packet);
    const { text } = packet.dest;
    if (!this.#knowledge.assumed.has(text)) return scheduled;
    const reason = `whether the node has the address ${text} is not given; it is taken to have it`;
    return { ...scheduled, unknown: [doubt(server, reason), ...scheduled.unknown] };
  }

  #ask(server: VirtualServer, packet: Packet): Scheduled {
    if (packet.state !== "NEW" && packet.state !== "UNTRACKED") {
      return { ...PASS, unknown: [doubt(server, "which connections IPVS has is not given")] };
    }
    if (packet.sourcePort.ask(isPort, FTP_DATA)) return PASS;
    const { persistenceSeconds } = server;
    const other = "port" in server.key && server.key.port !== packet.destPort;
    if (other && persistenceSeconds === null) {
      return "port" in server.key && server.key.port === FTP
        ? PASS
        : refuse(server, "serves a port only, without persistence");
    }
    const { choices, how, doubt: reason } = choose(server);
    if (choices.length === 0) return refuse(server, how);
    const unknown = [reason, this.#persistence(server, choices)]
      .filter((reason) => reason !== null)
      .map((reason) => doubt(server, reason));
    for (const { real } of choices) {
      if (real.method !== "masquerade") {
        unknown.push(doubt(server, `what becomes of packets by way of ${real.method}`));
      }
    }
    return {
      refused: null,
      unknown,
      ways: choices.map((choice) => way(server, choice, portOf(server, choice.real, packet), how)),
    };
  }

  /** By mark; else by address and port; else FTP's data or the server of all ports. */
  #find({ mark, protocol, dest, destPort }: Packet): VirtualServer | null {
    const at = (port: number) =>
      this.#servers.get(serverName({ protocol, address: dest.text, port }));
    const marked = mark === 0 ? undefined : this.#servers.get(serverName({ mark }));
    const exact = marked ?? at(destPort);
    if (exact !== undefined) return exact;
    const ftp = protocol === "TCP" && (destPort === FTP_DATA || destPort >= UNPRIVILEGED)
      ? at(FTP)
      : undefined;
    return ftp ?? at(0) ?? null;
  }

  #persistence({ persistenceSeconds }: VirtualServer, choices: readonly Choice[]): string | null {
    const free = persistenceSeconds === null || this.#knowledge.templates === "none";
    if (free || choices.length < 2) return null;
    return `a client of the last ${persistenceSeconds} s keeps its real server; which clients there ` +
      "are is not given, so that this one is taken for a new one";
  }
}

/** The port that the real server is asked at. */
function portOf({ key, persistenceSeconds }: VirtualServer, real: RealServer, packet: Packet) {
  const kept = real.port === 0 ||
    persistenceSeconds !== null && ("mark" in key || key.port !== packet.destPort);
  return kept ? packet.destPort : real.port;
}

function way(server: VirtualServer, { real, share }: Choice, port: number, how: string) {
  const { address, method, line, text } = real;
  const target = formatSocketAddress(address, port);
  const { persistenceSeconds } = server;
  const remembered = persistenceSeconds === null
    ? ""
    : `; the client now holds it for ${persistenceSeconds} s`;
  const step: BalancerStep = {
    table: "ipvs",
    chain: serverName(server.key),
    rule: server.realServers.indexOf(real) + 1,
    line,
    text,
    action: `destination becomes ${target}, probability ${
      Number(toNumber(share).toFixed(6))
    } (${how})${remembered}`,
  };
  return { address, port, method: METHODS[method], share, step } satisfies BalancedWay;
}

function isPort(port: number | null, other: number): boolean {
  return port === other;
}

function refuse(server: VirtualServer, why: string): Scheduled {
  const { line, text } = server;
  const step: BalancerStep = {
    table: "ipvs",
    chain: serverName(server.key),
    rule: null,
    line,
    text,
    action: `rejected with port-unreachable: ${why}`,
  };
  return { ways: [], refused: step, unknown: [] };
}

function doubt({ key, line, text }: VirtualServer, reason: string): UnknownRule {
  return { table: "ipvs", chain: serverName(key), rule: null, line, text, reason };
}

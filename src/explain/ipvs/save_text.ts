/**
 * Virtual servers as `ipvsadm-save -n` writes them.
 *
 * @module
 */

import { type ServerKey, serverName } from "../../dataplane/ipvs/state.ts";
import type { Protocol } from "../../cluster/objects.ts";
import { addressBytes, type Family, familyOf, parseAddress } from "../../net/address.ts";
import type { SchedulerFlagName } from "../../plan/plan.ts";
import type { Method, RealServer, VirtualServer, VirtualServers } from "./servers.ts";

/** Text that ipvsadm-save would not write; the message names the line. */
export class IpvsSaveError extends Error {
  override readonly name = "IpvsSaveError";
}

/** The virtual servers of both families. */
export type SavedServers = Readonly<Record<Family, VirtualServers>>;

/** Options by their argument: what ipvsadm 1.31 prints, and ipvsadm's long names for it. */
const WITH_ARGUMENT: ReadonlyMap<string, string> = new Map(Object.entries({
  "-t": "TCP",
  "--tcp-service": "TCP",
  "-u": "UDP",
  "--udp-service": "UDP",
  "--sctp-service": "SCTP",
  "-f": "mark",
  "--fwmark-service": "mark",
  "-s": "scheduler",
  "--scheduler": "scheduler",
  "-p": "persistence",
  "--persistent": "persistence",
  "-M": "netmask",
  "--netmask": "netmask",
  "--pe": "engine",
  "-b": "flags",
  "--sched-flags": "flags",
  "-r": "real",
  "--real-server": "real",
  "-w": "weight",
  "--weight": "weight",
  "-x": "limit",
  "--u-threshold": "limit",
  "-y": "lower",
  "--l-threshold": "lower",
  "--tun-type": "tunnel",
  "--tun-port": "tunnel port",
}));

const ALONE: ReadonlyMap<string, string> = new Map(Object.entries({
  "-m": "masquerade",
  "--masquerading": "masquerade",
  "-g": "direct",
  "--gatewaying": "direct",
  "-i": "tunnel",
  "--ipip": "tunnel",
  "-6": "IPv6",
  "--ipv6": "IPv6",
  "-o": "one packet",
  "--ops": "one packet",
  "--tun-nocsum": "tunnel checksum",
  "--tun-csum": "tunnel checksum",
  "--tun-remcsum": "tunnel checksum",
}));

const FLAGS: readonly SchedulerFlagName[] = ["sh-fallback", "sh-port", "mh-fallback", "mh-port"];

/** What `-p` without a number means. */
const DEFAULT_PERSISTENCE = 360;

/** Reads the output of `ipvsadm-save -n`. Throws {@link IpvsSaveError}. */
export function parseIpvsSave(text: string): SavedServers {
  const found = { IPv4: new Map<string, Growing>(), IPv6: new Map<string, Growing>() };
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "" || words[0].startsWith("#")) continue;
    try {
      enter(found, words, index + 1);
    } catch (error) {
      if (!(error instanceof IpvsSaveError)) throw error;
      throw new IpvsSaveError(`line ${index + 1}: ${error.message}`);
    }
  }
  return found;
}

interface Growing extends VirtualServer {
  readonly realServers: RealServer[];
}

function enter(
  found: Readonly<Record<Family, Map<string, Growing>>>,
  [verb, ...words]: readonly string[],
  line: number,
): void {
  const add = verb === "-A" || verb === "--add-service";
  if (!add && verb !== "-a" && verb !== "--add-server") {
    throw new IpvsSaveError(`expected -A or -a, not ${JSON.stringify(verb)}`);
  }
  const options = readOptions(words);
  const { key, family } = keyOf(options);
  const name = serverName(key);
  const servers = found[family];
  const text = [verb, ...words].join(" ");
  if (add) {
    servers.set(name, {
      key,
      scheduler: options.get("scheduler") ?? "wlc",
      flags: FLAGS.filter((flag) => options.get("flags")?.split(",").includes(flag)),
      persistenceSeconds: persistenceOf(options),
      ...(options.has("one packet") ? { onePacket: true } : {}),
      ...(options.has("engine") ? { engine: options.get("engine") } : {}),
      ...clientsOf(options),
      realServers: [],
      line,
      text,
    });
    return;
  }
  const server = servers.get(name);
  if (server === undefined) throw new IpvsSaveError(`virtual server ${name} was not added`);
  server.realServers.push(realServer(options, text, line));
}

type Options = ReadonlyMap<string, string>;

function readOptions(words: readonly string[]): Options {
  const options = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const alone = ALONE.get(word);
    if (alone !== undefined) {
      options.set(alone, "");
      continue;
    }
    const name = WITH_ARGUMENT.get(word);
    if (name === undefined) throw new IpvsSaveError(`option ${word} is not known`);
    const argument = words[i + 1];
    const missing = argument === undefined || argument.startsWith("-");
    if (missing && name !== "persistence") {
      throw new IpvsSaveError(`option ${word} lacks its argument`);
    }
    options.set(name, missing ? String(DEFAULT_PERSISTENCE) : argument);
    if (!missing) i++;
  }
  return options;
}

const PROTOCOLS: readonly Protocol[] = ["TCP", "UDP", "SCTP"];

function keyOf(options: Options): { key: ServerKey; family: Family } {
  const mark = options.get("mark");
  if (mark !== undefined) {
    const family = options.has("IPv6") ? "IPv6" : "IPv4";
    return { key: { mark: number(mark, 1, 0xffffffff) }, family };
  }
  const protocol = PROTOCOLS.find((protocol) => options.has(protocol));
  if (protocol === undefined) throw new IpvsSaveError("expected -t, -u, --sctp-service or -f");
  const end = endOf(options.get(protocol)!);
  return { key: { protocol, ...end }, family: familyOf(end.address) };
}

/** "10.0.0.1:80" or "[fd00::1]:80". */
function endOf(text: string): { address: string; port: number } {
  const parts = /^(?:\[(.+)\]|([^:]+)):([^:]+)$/.exec(text);
  const address = parts === null ? null : parseAddress(parts[1] ?? parts[2]);
  if (parts === null || address === null || !/^\d+$/.test(parts[3])) {
    throw new IpvsSaveError(`${text} is not ADDRESS:PORT, as ipvsadm-save -n writes it`);
  }
  return { address, port: number(parts[3], 0, 65535) };
}

function number(text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new IpvsSaveError(`${text} is not a number from ${least} to ${most}`);
}

function persistenceOf(options: Options): number | null {
  const seconds = options.get("persistence");
  return seconds === undefined ? null : number(seconds, 1, 0x7fffffff);
}

/** `-M`: an address for IPv4, a number of bits for IPv6. */
function clientsOf(options: Options): Pick<VirtualServer, "clientBits"> {
  const netmask = options.get("netmask");
  if (netmask === undefined) return {};
  const address = parseAddress(netmask);
  if (address === null) return { clientBits: number(netmask, 1, 128) };
  const bits = [...addressBytes(address)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return { clientBits: bits.replace(/0+$/, "").length };
}

function realServer(options: Options, text: string, line: number): RealServer {
  const real = options.get("real");
  if (real === undefined) throw new IpvsSaveError("expected -r ADDRESS:PORT");
  const methods: readonly Method[] = ["masquerade", "direct", "tunnel"];
  return {
    ...endOf(real),
    weight: number(options.get("weight") ?? "1", 0, 0x7fffffff),
    // Without any, ipvsadm takes direct routing.
    method: options.has("masquerade")
      ? "masquerade"
      : methods.find((method) => options.has(method)) ?? "direct",
    limited: (options.get("limit") ?? "0") !== "0",
    text,
    line,
  };
}

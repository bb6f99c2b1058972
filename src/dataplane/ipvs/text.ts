/**
 * The state as the texts that operators know: `ip -batch`, `ipset save`, `ipvsadm-save -n` and
 * `iptables-restore --noflush`.
 *
 * @module
 */

import { type Family, formatSocketAddress } from "../../net/address.ts";
import { chainLine, ruleLine } from "../iptables/text.ts";
import { JUMPS } from "./jumps.ts";
import { setCapacity } from "./names.ts";
import {
  DUMMY_DEVICE,
  type IpSetState,
  type IpvsState,
  type ServerKey,
  type VirtualServerState,
} from "./state.ts";

/** One text for each program. */
export interface IpvsTexts {
  /** Input of `ip -batch -`, once the device is there. */
  readonly addresses: string;
  /** Input of `ipset restore`. */
  readonly sets: string;
  /** Input of `ipvsadm --restore`. */
  readonly servers: string;
  /** Input of `iptables-restore --noflush`. */
  readonly rules: string;
}

/** The texts of one family. */
export function ipvsTexts(state: IpvsState): IpvsTexts {
  return {
    addresses: lines(addressLines(state)),
    sets: lines([...state.sets.values()].flatMap((set) => setLines(set, state.family))),
    servers: lines(
      [...state.servers.values()].flatMap((server) => serverLines(server, state.family)),
    ),
    rules: lines(ruleLines(state)),
  };
}

/** All texts of all families, each below a comment that names what it is for. */
export function ipvsText(states: readonly IpvsState[]): string {
  const device = `# ${DUMMY_DEVICE}: ip -batch\nlink add ${DUMMY_DEVICE} type dummy\n`;
  return device + states.map((state) => {
    const { addresses, sets, servers, rules } = ipvsTexts(state);
    const restore = state.family === "IPv4" ? "iptables-restore" : "ip6tables-restore";
    return [
      `# ${state.family} addresses: ip -batch\n${addresses}`,
      `# ${state.family} sets: ipset restore\n${sets}`,
      `# ${state.family} virtual servers: ipvsadm --restore\n${servers}`,
      `# ${state.family} rules: ${restore} --noflush\n${rules}`,
    ].join("");
  }).join("");
}

function lines(list: readonly string[]): string {
  return list.map((line) => `${line}\n`).join("");
}

function addressLines({ addresses, family }: IpvsState): string[] {
  const prefix = family === "IPv4" ? 32 : 128;
  return [...addresses].map((address) => `address add ${address}/${prefix} dev ${DUMMY_DEVICE}`);
}

function setLines({ name, type, entries }: IpSetState, family: Family): string[] {
  const options = type === "bitmap:port"
    ? "range 0-65535"
    : `family ${family === "IPv4" ? "inet" : "inet6"} hashsize 1024 maxelem ${
      setCapacity(entries.length)
    }`;
  return [
    `create ${name} ${type} ${options}`,
    ...entries.map((entry) => `add ${name} ${entry}`),
  ];
}

const PROTOCOL_OPTIONS = { TCP: "-t", UDP: "-u", SCTP: "--sctp-service" } as const;

/** "-t 10.96.0.1:443": a virtual server in ipvsadm's words. */
function serverOption(key: ServerKey, family: Family): string {
  if ("mark" in key) return `-f ${key.mark}${family === "IPv6" ? " -6" : ""}`;
  return `${PROTOCOL_OPTIONS[key.protocol]} ${formatSocketAddress(key.address, key.port)}`;
}

/** A virtual server and those behind it, a line each, as `ipvsadm-save -n` writes them. */
export function serverLines(server: VirtualServerState, family: Family): string[] {
  const { key, scheduler, flags, persistenceSeconds, realServers } = server;
  const name = serverOption(key, family);
  const persistence = persistenceSeconds === null ? "" : ` -p ${persistenceSeconds}`;
  const schedFlags = flags.length === 0 ? "" : ` -b ${flags.join(",")}`;
  return [
    `-A ${name} -s ${scheduler}${persistence}${schedFlags}`,
    ...realServers.map(({ address, port, weight }) =>
      `-a ${name} -r ${formatSocketAddress(address, port)} -m -w ${weight}`
    ),
  ];
}

/** The jumps are put in front of the kernel's chains, as kube-proxy does it by separate calls. */
function ruleLines({ rules }: IpvsState): string[] {
  return (["nat", "filter"] as const).flatMap((table) => [
    `*${table}`,
    ...[...rules[table].keys()].map(chainLine),
    ...[...rules[table]].flatMap(([chain, specs]) =>
      specs.map((spec) => ruleLine("-A", chain, spec))
    ),
    ...JUMPS.filter((jump) => jump.table === table)
      .map(({ chain, spec }) => ruleLine("-I", chain, spec)),
    "COMMIT",
  ]);
}

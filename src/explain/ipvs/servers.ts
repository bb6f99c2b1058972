/**
 * Virtual servers with what an explanation needs of them beside their state: where they stand in a
 * text, and what other proxies than ours may ask of them.
 *
 * @module
 */

import {
  type IpvsState,
  type RealServerState,
  type ServerKey,
  type VirtualServerState,
} from "../../dataplane/ipvs/state.ts";
import { formatSocketAddress } from "../../net/address.ts";

/** How packets get to a real server; only the first changes their destination. */
export type Method = "masquerade" | "direct" | "tunnel";

/** A real server. */
export interface RealServer extends RealServerState {
  readonly method: Method;
  /** Whether it takes no more than so many connections. */
  readonly limited: boolean;
  /** 1-based line in the text that was read; null where there was none. */
  readonly line: number | null;
  /** As ipvsadm-save writes it. */
  readonly text: string;
}

/** A virtual server. */
export interface VirtualServer extends Omit<VirtualServerState, "realServers"> {
  readonly realServers: readonly RealServer[];
  readonly line: number | null;
  readonly text: string;
}

/** The virtual servers of one family, by `serverName` of their keys. */
export type VirtualServers = ReadonlyMap<string, VirtualServer>;

/** The virtual servers of a state, which was made or read, not parsed from text. */
export function serversOf({ servers }: Pick<IpvsState, "servers">): VirtualServers {
  return new Map([...servers].map(([name, server]) => [name, withText(server)]));
}

function withText(server: VirtualServerState): VirtualServer {
  const { key, scheduler, flags, persistenceSeconds } = server;
  const words = keyWords(key);
  const persistence = persistenceSeconds === null ? [] : ["-p", String(persistenceSeconds)];
  const options = flags.length === 0 ? [] : ["-b", flags.join(",")];
  return {
    ...server,
    line: null,
    text: ["-A", ...words, "-s", scheduler, ...persistence, ...options].join(" "),
    realServers: server.realServers.map((real): RealServer => ({
      ...real,
      method: "masquerade",
      limited: false,
      line: null,
      text: ["-a", ...words, "-r", formatSocketAddress(real.address, real.port), "-m -w"]
        .join(" ") + ` ${real.weight}`,
    })),
  };
}

const PROTOCOL_WORDS = { TCP: "-t", UDP: "-u", SCTP: "--sctp-service" } as const;

function keyWords(key: ServerKey): string[] {
  if ("mark" in key) return ["-f", String(key.mark)];
  return [PROTOCOL_WORDS[key.protocol], formatSocketAddress(key.address, key.port)];
}

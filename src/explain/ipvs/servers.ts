/**
 * Virtual servers with what an explanation needs of them beside their state: where they stand in a
 * text, and what other proxies than ours may ask of them.
 *
 * @module
 */

import type { IpvsState, RealServerState, VirtualServerState } from "../../dataplane/ipvs/state.ts";
import { serverLines } from "../../dataplane/ipvs/text.ts";
import type { Family } from "../../net/address.ts";

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
  /** Every packet is scheduled anew; absent: it is not. */
  readonly onePacket?: boolean;
  /** Persistence by what packets contain, such as "sip"; absent: by addresses. */
  readonly engine?: string;
  /** Bits of the networks that count as one client; absent: all. */
  readonly clientBits?: number;
  readonly line: number | null;
  readonly text: string;
}

/** The virtual servers of one family, by `serverName` of their keys. */
export type VirtualServers = ReadonlyMap<string, VirtualServer>;

/** The virtual servers of a state, which was made or read, not parsed from text. */
export function serversOf({ servers, family }: IpvsState): VirtualServers {
  return new Map([...servers].map(([name, server]) => [name, withText(server, family)]));
}

function withText(server: VirtualServerState, family: Family): VirtualServer {
  const [text, ...realTexts] = serverLines(server, family);
  return {
    ...server,
    line: null,
    text,
    realServers: server.realServers.map((real, i): RealServer => ({
      ...real,
      method: "masquerade",
      limited: false,
      line: null,
      text: realTexts[i],
    })),
  };
}

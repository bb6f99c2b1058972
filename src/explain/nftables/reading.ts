/**
 * What a selector may come to for a packet.
 *
 * @module
 */

import type { Ip } from "../netfilter/packet.ts";
import type { SourcePort } from "../netfilter/sender.ts";
import type { Known } from "./compare.ts";

/** What a selector comes to. */
export type Reading =
  | { readonly kind: "known"; readonly value: Known }
  /** An address of the packet, of which no more is asked than has to be. */
  | { readonly kind: "address"; readonly address: Ip }
  /** The sender's port, likewise. */
  | { readonly kind: "port"; readonly port: SourcePort }
  /** Each of so many numbers from the first on is as likely as the others. */
  | {
    readonly kind: "chance";
    readonly first: number;
    readonly count: number;
    /** What the likelihood rests on. */
    readonly note: string | null;
  }
  /** The name of a link that is not known, but is not this one's. */
  | { readonly kind: "not"; readonly value: string; readonly reason: string }
  /** The packet does not have it: the rule does not match. */
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly reason: string };

/** {@link Reading} of what the packet does not have. */
export const ABSENT: Reading = { kind: "absent" };

/** A {@link Reading} of one value. */
export const known = (value: Known): Reading => ({ kind: "known", value });
/** A {@link Reading} that nothing is known of. */
export const unknown = (reason: string): Reading => ({ kind: "unknown", reason });

/** Protocols of flows, as nft names them. */
export const PROTOCOLS = { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const;

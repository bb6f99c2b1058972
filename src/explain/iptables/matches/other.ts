/**
 * Matches that are simple to say, or whose answer rests on a plain assumption.
 *
 * @module
 */

import { addressBytes, parseAddress } from "../../../net/address.ts";
import type { Option } from "../options.ts";
import type { Ip, Packet } from "../../netfilter/packet.ts";
import type { Address } from "../../netfilter/sender.ts";
import {
  compileEach,
  type MatchModule,
  NotUnderstood,
  type Result,
  type Test,
  truth,
  unknown,
  YES,
} from "./result.ts";

/** A comment, which matches everything. */
export const comment: MatchModule = {
  options: { "--comment": 1 },
  compile: () => () => YES,
};

/** A counter, which matches everything. */
export const nfacct: MatchModule = {
  options: { "--nfacct-name": 1 },
  compile: () => () => YES,
};

/** Only TCP, UDP and SCTP flows are asked about. */
export const icmp: MatchModule = {
  options: { "--icmp-type": 1, "--icmpv6-type": 1 },
  compile: () => () => truth(false),
};

const fresh = (note: string): Result => ({ kind: "yes", note });

/** A bucket that is full, as it is when nothing came for a while. */
export const limit: MatchModule = {
  options: { "--limit": 1, "--limit-burst": 1 },
  compile: () => () => fresh("the limit is not used up"),
};

export const hashlimit: MatchModule = {
  options: {
    "--hashlimit": 1,
    "--hashlimit-upto": 1,
    "--hashlimit-above": 1,
    "--hashlimit-burst": 1,
    "--hashlimit-mode": 1,
    "--hashlimit-name": 1,
    "--hashlimit-srcmask": 1,
    "--hashlimit-dstmask": 1,
    "--hashlimit-htable-size": 1,
    "--hashlimit-htable-max": 1,
    "--hashlimit-htable-expire": 1,
    "--hashlimit-htable-gcinterval": 1,
    "--hashlimit-rate-match": 0,
    "--hashlimit-rate-interval": 1,
  },
  compile(options) {
    const rate = options.find((option) =>
      ["--hashlimit", "--hashlimit-upto", "--hashlimit-above"].includes(option.name)
    );
    if (rate === undefined) throw new NotUnderstood("hashlimit has no rate");
    const below = (rate.name === "--hashlimit-above") === rate.negated;
    const note = "the limit is not used up";
    return () => ({ kind: below ? "yes" : "no", note });
  },
};

/** The connection is the first of its client. */
export const connlimit: MatchModule = {
  options: {
    "--connlimit-upto": 1,
    "--connlimit-above": 1,
    "--connlimit-mask": 1,
    "--connlimit-saddr": 0,
    "--connlimit-daddr": 0,
  },
  compile(options) {
    const bound = options.find((option) => /-(upto|above)$/.test(option.name));
    if (bound === undefined) throw new NotUnderstood("connlimit has no limit");
    const count = Number(bound.args[0]);
    const above = (bound.name === "--connlimit-above") !== bound.negated;
    const note = "the client has no other connection";
    return () => ({ kind: (1 > count) === above ? "yes" : "no", note });
  },
};

function addressRange(of: (packet: Packet) => Ip): (option: Option) => Test {
  return ({ args: [text] }) => {
    const [first, last = first] = text.split("-").map(parseAddress);
    if (!first || !last) throw new NotUnderstood(`${text} is not a range of addresses`);
    const range = { low: addressBytes(first), high: addressBytes(last) };
    return (packet) => truth(of(packet).ask(isBetween, range));
  };
}

interface AddressRange {
  readonly low: Uint8Array;
  readonly high: Uint8Array;
}

function isBetween({ bytes }: Address, { low, high }: AddressRange): boolean {
  return bytes.length === low.length && compare(low, bytes) <= 0 && compare(bytes, high) <= 0;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

export const iprange: MatchModule = {
  options: { "--src-range": 1, "--dst-range": 1 },
  compile: (options) =>
    compileEach(options, {
      "--src-range": addressRange((packet) => packet.source),
      "--dst-range": addressRange((packet) => packet.dest),
    }),
};

const bridged = (): Test => (packet) =>
  packet.fromNode ? truth(false) : unknown("whether the packet passed a bridge is not known");

/** Ports of a bridge. What the node itself sends came through none. */
export const physdev: MatchModule = {
  options: {
    "--physdev-in": 1,
    "--physdev-out": 1,
    "--physdev-is-in": 0,
    "--physdev-is-out": 0,
    "--physdev-is-bridged": 0,
  },
  compile: (options) =>
    compileEach(options, {
      "--physdev-in": bridged,
      "--physdev-is-in": bridged,
      "--physdev-is-bridged": bridged,
    }),
};

/** The process that sent the packet: packets from elsewhere have none. */
export const owner: MatchModule = {
  options: {
    "--uid-owner": 1,
    "--gid-owner": 1,
    "--suppl-groups": 0,
    "--socket-exists": 0,
  },
  compile: (options) => {
    const test = () => (packet: Packet) =>
      packet.fromNode ? unknown("which process sends is not known") : truth(false);
    return compileEach(options, {
      "--uid-owner": test,
      "--gid-owner": test,
      "--socket-exists": test,
    });
  },
};

/**
 * Matches and targets of iptables in rules of nf_tables, as iptables-nft makes them: those that most
 * nodes have, by the kernel's structures (linux/netfilter/xt_*.h, nf_nat.h; ipt_REJECT.h).
 *
 * @module
 */

import { rawAttributes } from "../../../netlink/attribute.ts";
import { be32 } from "../../../netlink/codec.ts";
import { name } from "../../../netlink/netfilter/nftables/codecs.ts";
import type { Match, Nat, Reject, Statement, TableFamily, Value } from "../language/ast.ts";
import { natFlagNames } from "./compile_rule.ts";
import { addressText, flagsValue, typeNamed } from "./values.ts";

/** NFTA_MATCH_* and NFTA_TARGET_*. */
const NAME = 1;
const REVISION = 2;
const INFO = 3;

/** Reads numbers of the machine's own byte order; past the end it throws RangeError. */
type Info = DataView;

type Reader = (info: Info, family: TableFamily) => Statement | null;

/** By name and revision. */
const READERS: Readonly<Record<string, Reader>> = {
  "addrtype 1": readAddressType,
  "conntrack 3": readStates,
  "multiport 1": readPorts,
  "MARK 2": readMark,
  "MASQUERADE 0": readMasquerade,
  "DNAT 0": readOldDestination,
  "DNAT 2": readDestination,
  "REJECT 0": readReject,
};

/** What an extension does; null for one that is not understood. */
export function extensionStatement(data: Uint8Array, family: TableFamily): Statement | null {
  const parts = new Map([...rawAttributes(data)].map(({ id, payload }) => [id, payload]));
  const [called, revision, info] = [NAME, REVISION, INFO].map((id) => parts.get(id));
  if (called === undefined || revision === undefined || info === undefined) return null;
  const reader = READERS[`${name.read(called)} ${be32.read(revision)}`];
  if (reader === undefined) return null;
  try {
    return reader(new DataView(info.buffer, info.byteOffset, info.length), family);
  } catch (error) {
    // Shorter than the kernel makes it.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const u8 = (info: Info, at: number) => info.getUint8(at);
const u16 = (info: Info, at: number) => info.getUint16(at, true);
const u32 = (info: Info, at: number) => info.getUint32(at, true);

const ADDRESS_TYPES = ["unspec", "unicast", "local", "broadcast", "anycast", "multicast"];

/** struct xt_addrtype_info_v1: of the destination alone. */
function readAddressType(info: Info): Statement | null {
  const [source, dest, flags] = [u16(info, 0), u16(info, 2), u32(info, 4)];
  const INVERTED = 2;
  if (source !== 0 || (flags & ~INVERTED) !== 0 || dest >> ADDRESS_TYPES.length !== 0) return null;
  const names = ADDRESS_TYPES.filter((_, bit) => (dest & 1 << bit) !== 0);
  return oneOf(
    { kind: "fib", flags: ["daddr"], result: "type" },
    names.map((name) => ({ kind: "symbol", name })),
    (flags & INVERTED) !== 0,
  );
}

/** struct xt_conntrack_mtinfo3: of the state alone. */
function readStates(info: Info): Statement | null {
  const [asked, inverted, states] = [u16(info, 146), u16(info, 148), u16(info, 150)];
  const STATE = 1;
  const UNTRACKED = 1 << 8;
  // INVALID, ESTABLISHED, RELATED and NEW are numbered alike.
  const ALIKE = 0b1111;
  if (asked !== STATE || (states & ~(ALIKE | UNTRACKED)) !== 0) return null;
  const bits = states & ALIKE | ((states & UNTRACKED) !== 0 ? 64 : 0);
  const right = flagsValue(bits, typeNamed("ct_state"));
  const left = { kind: "ct", direction: null, key: "state" } as const;
  if ((inverted & STATE) === 0) return { kind: "match", left, operator: "is", right };
  return {
    kind: "match",
    left: { kind: "bitwise", operator: "&", left, right },
    operator: "is",
    right: { kind: "number", value: 0 },
  };
}

/** struct xt_multiport_v1. */
function readPorts(info: Info): Statement | null {
  const [side, count] = [u8(info, 0), u8(info, 1)];
  const field = ["sport", "dport"][side];
  const MOST = 15;
  if (field === undefined || count > MOST) return null;
  const values: Value[] = [];
  for (let i = 0; i < count; i++) {
    const from: Value = { kind: "number", value: u16(info, 2 + 2 * i) };
    const isRange = u8(info, 2 + 2 * MOST + i) !== 0;
    if (isRange) i++;
    values.push(
      isRange ? { kind: "range", from, to: { kind: "number", value: u16(info, 2 + 2 * i) } } : from,
    );
  }
  const inverted = u8(info, 2 + 3 * MOST) !== 0;
  return oneOf({ kind: "payload", protocol: "th", field }, values, inverted);
}

function oneOf(left: Match["left"], values: readonly Value[], inverted: boolean): Match {
  const rest = { data: null, comment: null, timeout: null, expires: null, statements: [] };
  const right: Value = values.length === 1
    ? values[0]
    : { kind: "set", elements: values.map((key) => ({ key, ...rest })) };
  return { kind: "match", left, operator: inverted ? "!=" : "is", right };
}

/** struct xt_mark_tginfo2: the mark without some bits, then with some flipped. */
function readMark(info: Info): Statement {
  const [mark, mask] = [u32(info, 0), u32(info, 4)];
  const target = { kind: "meta", key: "mark" } as const;
  const number = (value: number): Value => ({ kind: "number", value: value >>> 0 });
  const kept = { kind: "bitwise", operator: "&", left: target, right: number(~mask) } as const;
  const value = mask >>> 0 === 0xffffffff
    ? number(mark)
    : { kind: "bitwise", operator: "^", left: kept, right: number(mark) } as const;
  return { kind: "mangle", target, value };
}

/** NF_NAT_RANGE_*: what a range says. */
const ADDRESSES = 1;
const PORTS = 2;

function translation(type: Nat["type"], flags: number, to: Partial<Nat>): Nat {
  const names = natFlagNames(flags & ~(ADDRESSES | PORTS));
  return {
    kind: "nat",
    type,
    family: null,
    address: null,
    port: null,
    pair: false,
    flags: names,
    ...to,
  };
}

/** struct nf_nat_ipv4_multi_range_compat, or of family ip6 struct nf_nat_range: without ports. */
function readMasquerade(info: Info, family: TableFamily): Statement | null {
  const flags = u32(info, family === "ip" ? 4 : 0);
  return (flags & PORTS) !== 0 ? null : translation("masquerade", flags, {});
}

/** struct nf_nat_ipv4_multi_range_compat. */
function readOldDestination(info: Info): Statement | null {
  return destination(info, u32(info, 4), { size: 4, from: 8, to: 12, port: 16 });
}

/** struct nf_nat_range2. */
function readDestination(info: Info, family: TableFamily): Statement | null {
  const size = family === "ip" ? 4 : 16;
  return destination(info, u32(info, 0), { size, from: 4, to: 20, port: 36 });
}

/** A destination of one address, and of one port if any. */
function destination(
  info: Info,
  flags: number,
  at: { readonly size: number; readonly from: number; readonly to: number; readonly port: number },
): Statement | null {
  const text = (start: number) =>
    addressText(new Uint8Array(info.buffer, info.byteOffset + start, at.size));
  const [first, last] = [info.getUint16(at.port), info.getUint16(at.port + 2)];
  const address = (flags & ADDRESSES) !== 0 ? text(at.from) : null;
  if (address !== null && address !== text(at.to) || first !== last) return null;
  return translation("dnat", flags, {
    address: address === null ? null : { kind: "address", text: address },
    port: (flags & PORTS) === 0 ? null : { kind: "number", value: first },
  });
}

/** enum ipt_reject_with, in its order. */
const REJECTIONS: readonly (string | null)[] = [
  ...["net-unreachable", "host-unreachable", "prot-unreachable", "port-unreachable", null],
  ...["net-prohibited", "host-prohibited", "tcp reset", "admin-prohibited"],
];

/** struct ipt_reject_info; of family ip6 the numbers are others. */
function readReject(info: Info, family: TableFamily): Statement | null {
  const code = family === "ip" ? REJECTIONS[u32(info, 0)] ?? null : null;
  if (code === null) return null;
  const answer: Reject["with"] = code === "tcp reset" ? { type: code } : { type: "icmp", code };
  return { kind: "reject", with: code === "port-unreachable" ? null : answer };
}

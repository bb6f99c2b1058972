/**
 * Rules of nftables as plain data: what `nft list ruleset` shows and `nft -f` takes, what the
 * kernel's expressions compile from, and what explains a packet's way.
 *
 * One thing has one form here, whichever way nft lets it be written: `mark or 0x4000` is a bitwise
 * expression over `meta mark`, `6` in the place of a protocol is the symbol `tcp`. So rules are the
 * same exactly when their printed texts are (print.ts). Grammar and meaning: nft(8).
 *
 * @module
 */

/** The family of a table: `inet` is IPv4 and IPv6. */
export type TableFamily = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";

/** Where a base chain stands. */
export type HookName =
  | "prerouting"
  | "input"
  | "forward"
  | "output"
  | "postrouting"
  | "ingress"
  | "egress";

/** All tables, in the order in which they were listed. */
export interface Ruleset {
  readonly tables: readonly Table[];
}

/** A table with all that is in it. */
export interface Table {
  readonly family: TableFamily;
  readonly name: string;
  readonly comment: string | null;
  /** "dormant" (its base chains see nothing), "owner", "persist". */
  readonly flags: readonly string[];
  readonly handle: number | null;
  readonly chains: readonly Chain[];
  /** Named sets and maps. */
  readonly sets: readonly NamedSet[];
  /** Flow tables and named counters, quotas, limits and the like, by the text of each. */
  readonly objects: readonly string[];
}

/** A chain; base chains are those that a hook calls. */
export interface Chain {
  readonly name: string;
  readonly base: BaseChain | null;
  readonly comment: string | null;
  readonly handle: number | null;
  readonly rules: readonly Rule[];
}

/** What makes a chain a base chain. */
export interface BaseChain {
  readonly type: "filter" | "nat" | "route";
  readonly hook: HookName;
  /** The order among the hook's base chains, the lowest first; names become numbers. */
  readonly priority: number;
  readonly policy: "accept" | "drop";
  /** The links of a chain at `ingress` or `egress`. */
  readonly devices: readonly string[];
}

/** A rule. */
export interface Rule {
  /** Done from left to right until a match fails or a verdict is given. */
  readonly statements: readonly Statement[];
  readonly comment: string | null;
  readonly handle: number | null;
  /** The line of the text that it was read from, the first is 1; null: not from text. */
  readonly line: number | null;
}

/** A named set, or a named map if it has data. */
export interface NamedSet {
  readonly name: string;
  /** The key's type, part by part for a concatenation: `["ipv4_addr", "inet_proto"]`. */
  readonly key: readonly string[];
  /** What a map's keys lead to: null for a set, `["verdict"]` for a verdict map. */
  readonly data: readonly string[] | null;
  /** Declared by `typeof` instead of by `type`. */
  readonly typeof: {
    readonly key: Expression;
    readonly data: Expression | "verdict" | null;
  } | null;
  /** "constant", "interval", "timeout", "dynamic". */
  readonly flags: readonly string[];
  /** After which elements vanish, milliseconds. */
  readonly timeout: number | null;
  /** Milliseconds. */
  readonly gcInterval: number | null;
  readonly size: number | null;
  readonly policy: "memory" | "performance" | null;
  readonly autoMerge: boolean;
  /** What each element of a dynamic set gets: counters, limits. */
  readonly statements: readonly Statement[];
  readonly comment: string | null;
  readonly handle: number | null;
  readonly elements: readonly Element[];
}

/** An element of a set or map. */
export interface Element {
  readonly key: Value;
  /** What a map has under the key: null in sets. */
  readonly data: Value | Verdict | null;
  readonly comment: string | null;
  /** How long it lasts where the set does not say so, milliseconds. */
  readonly timeout: number | null;
  /** How long it still lasts, milliseconds; only the kernel says so. */
  readonly expires: number | null;
  /** Counters, limits and the like of this element. */
  readonly statements: readonly Statement[];
}

// ---------------------------------------------------------------------------------------------
// Expressions

/** Anything that has a value. */
export type Expression = Selector | Value;

/** What is taken from the packet, its connection, chance, or the node. */
export type Selector =
  | Payload
  | RawPayload
  | Meta
  | ConnectionTracking
  | Fib
  | NumberGenerator
  | Hash
  | Bitwise
  | Concatenation<Selector>
  | MapLookup
  | OtherSelector;

/** A header's field: `ip daddr`, `tcp dport`, `th dport` (of any transport), `icmp type`. */
export interface Payload {
  readonly kind: "payload";
  readonly protocol: string;
  readonly field: string;
}

/** Bits of a header: `@th,16,16`. */
export interface RawPayload {
  readonly kind: "raw";
  readonly base: "ll" | "nh" | "th" | "ih";
  /** Bits. */
  readonly offset: number;
  /** Bits. */
  readonly length: number;
}

/** `meta KEY`: mark, l4proto, nfproto, iifname, oifname, iif, oif, iiftype, pkttype, skuid, ... */
export interface Meta {
  readonly kind: "meta";
  readonly key: string;
}

/** `ct [DIRECTION] KEY`: state, status, mark, zone, direction, `ip saddr`, proto-dst, ... */
export interface ConnectionTracking {
  readonly kind: "ct";
  readonly direction: "original" | "reply" | null;
  readonly key: string;
}

/** `fib daddr . iif type`. */
export interface Fib {
  readonly kind: "fib";
  /** What the route is looked up for: "saddr", "daddr", "mark", "iif", "oif", in nft's order. */
  readonly flags: readonly string[];
  readonly result: "type" | "oif" | "oifname" | "check";
}

/** `numgen random mod 3 offset 0`: a number from offset to offset + modulus − 1. */
export interface NumberGenerator {
  readonly kind: "numgen";
  readonly mode: "random" | "inc";
  readonly modulus: number;
  readonly offset: number;
}

/** `jhash ip saddr . tcp sport mod 2 seed 0xfeed`, or with `of` null `symhash mod 2`. */
export interface Hash {
  readonly kind: "hash";
  readonly of: Selector | null;
  readonly modulus: number;
  readonly seed: number | null;
  readonly offset: number;
}

/** `meta mark & 0x4000`. */
export interface Bitwise {
  readonly kind: "bitwise";
  readonly operator: "&" | "|" | "^" | "<<" | ">>";
  readonly left: Expression;
  readonly right: Expression;
}

/** `ip daddr . meta l4proto . th dport`, or of values `10.0.0.1 . tcp . 80`. */
export interface Concatenation<Part> {
  readonly kind: "concat";
  readonly parts: readonly Part[];
}

/** `ip saddr map { 10.0.0.1 : 0x1 }`. */
export interface MapLookup {
  readonly kind: "map";
  readonly key: Selector;
  readonly map: SetReference | AnonymousSet;
}

/** A selector that is kept by its text alone: `socket transparent`, `tcp option maxseg size`. */
export interface OtherSelector {
  readonly kind: "other";
  readonly text: string;
}

/** What a selector is compared with, or what is set. */
export type Value =
  | Address
  | Network
  | NumberValue
  | SymbolValue
  | StringValue
  | Range
  | FlagList
  | Concatenation<Value>
  | Wildcard
  | SetReference
  | AnonymousSet;

/** An IP address, canonical text, or an Ethernet one in lower case. */
export interface Address {
  readonly kind: "address";
  readonly text: string;
}

/** `10.0.0.0/8`: canonical address with the host's bits cleared; never as long as an address. */
export interface Network {
  readonly kind: "network";
  readonly address: string;
  readonly prefix: number;
}

/** A port, mark, count. How it is written (0x00004000, 80) follows from the selector's type. */
export interface NumberValue {
  readonly kind: "number";
  readonly value: number;
}

/** A name that nft has for a value: tcp, new, local, unicast, port-unreachable. */
export interface SymbolValue {
  readonly kind: "symbol";
  readonly name: string;
}

/** A quoted text: `"eth0"`; a `*` at the end of a link's name stands for any rest. */
export interface StringValue {
  readonly kind: "string";
  readonly text: string;
}

/** Both ends belong to it. */
export interface Range {
  readonly kind: "range";
  readonly from: Value;
  readonly to: Value;
}

/** `established,related`: flags of which one is enough, or that are together a mask or a value. */
export interface FlagList {
  readonly kind: "flags";
  readonly names: readonly string[];
}

/** `*`: the element for all that no other one holds. */
export interface Wildcard {
  readonly kind: "wildcard";
}

/** `@name` */
export interface SetReference {
  readonly kind: "reference";
  readonly name: string;
}

/** `{ a, b }`, or `{ a : x, b : y }` where a map is meant. */
export interface AnonymousSet {
  readonly kind: "set";
  readonly elements: readonly Element[];
}

// ---------------------------------------------------------------------------------------------
// Statements

/** A part of a rule. */
export type Statement =
  | Match
  | VerdictStatement
  | VerdictMap
  | Mangle
  | Nat
  | Reject
  | SetUpdate
  | Counter
  | Limit
  | Log
  | NoTrack
  | UnknownStatement;

/**
 * A comparison; the rule goes on only if it holds.
 *
 * `is` is what nft writes without an operator: equality, membership in a set, range or network, and
 * for flags (`ct state established,related`) that any of them is set. `==` is strict equality and
 * stands only where that differs: in front of flags.
 */
export interface Match {
  readonly kind: "match";
  readonly left: Selector;
  readonly operator: "is" | "==" | "!=" | "<" | ">" | "<=" | ">=";
  readonly right: Value;
}

/** What becomes of the packet. */
export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" | "continue" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

/** A verdict given outright. */
export interface VerdictStatement {
  readonly kind: "verdict";
  readonly verdict: Verdict;
}

/** `ip daddr . meta l4proto . th dport vmap @service-ips`. */
export interface VerdictMap {
  readonly kind: "vmap";
  readonly key: Selector;
  readonly map: SetReference | AnonymousSet;
}

/** `meta mark set meta mark | 0x4000`, `ct mark set ...`, `ip dscp set ...`. */
export interface Mangle {
  readonly kind: "mangle";
  readonly target: Selector;
  readonly value: Expression;
}

/** Network address translation. */
export interface Nat {
  readonly kind: "nat";
  readonly type: "dnat" | "snat" | "masquerade" | "redirect";
  /** Named in tables of family inet: `dnat ip to`. */
  readonly family: "ip" | "ip6" | null;
  /** Null for masquerade and redirect, or if only the port changes. */
  readonly address: Expression | null;
  readonly port: Expression | null;
  /** `dnat ip addr . port to MAP`: what the address is taken from gives the port too. */
  readonly pair: boolean;
  /** "random", "fully-random", "persistent". */
  readonly flags: readonly string[];
}

/** `reject`: with null as the family does unless told otherwise, port-unreachable. */
export interface Reject {
  readonly kind: "reject";
  readonly with:
    | { readonly type: "tcp reset" }
    | { readonly type: "icmp" | "icmpv6" | "icmpx"; readonly code: string }
    | null;
}

/** `update @affinity { ip saddr timeout 3h }`. */
export interface SetUpdate {
  readonly kind: "update";
  readonly operation: "add" | "update" | "delete";
  readonly set: string;
  readonly key: Selector;
  /** What a map gets under the key. */
  readonly data: Expression | null;
  /** Milliseconds. */
  readonly timeout: number | null;
  /** What the element is asked before the rule goes on: counters, limits. */
  readonly statements: readonly Statement[];
}

/** `counter packets 0 bytes 0`, or `counter name NAME`. */
export interface Counter {
  readonly kind: "counter";
  readonly name: string | null;
  readonly packets: number;
  readonly bytes: number;
}

/** `limit rate over 10/second burst 5 packets`, by its text without the first word. */
export interface Limit {
  readonly kind: "limit";
  readonly text: string;
}

/** `log prefix "x" group 2`, by its text without the first word. */
export interface Log {
  readonly kind: "log";
  readonly text: string;
}

/** `notrack` */
export interface NoTrack {
  readonly kind: "notrack";
}

/** What is not known here, by its text: `xt match "comment"`, `queue num 1`, `tproxy to :1`. */
export interface UnknownStatement {
  readonly kind: "unknown";
  readonly text: string;
}

/**
 * Translations of addresses from the kernel's expressions.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import type { Expression, Nat, TableFamily, Value } from "../language/ast.ts";
import { rangeOf } from "../language/values.ts";
import { natFlagNames } from "./compile_rule.ts";
import { isBehind, type Registers } from "./registers.ts";
import { typeNamed } from "./values.ts";

/** NFPROTO_*. */
const INET = 1;
const NETWORKS = new Map<number, "ip" | "ip6">([[2, "ip"], [10, "ip6"]]);

/** A translation to addresses or ports that registers hold; null for what is not understood. */
export function natOf(
  { type, family, addressMin, addressMax, portMin, portMax, flags = 0 }: ExpressionOf<"nat">,
  registers: Registers,
  tableFamily: TableFamily,
): Nat | null {
  if (typeof type !== "string") return null;
  const network = NETWORKS.get(family ?? INET);
  // Of any family ports alone are translated.
  if (network === undefined && (family !== INET || addressMin !== undefined)) return null;
  const addressType = typeNamed(network === "ip6" ? "ipv6_addr" : "ipv4_addr");
  const address = ends(registers, addressMin, addressMax, addressType);
  // What a map leads to may be an address with its port behind it.
  const pair = registers.get(addressMin)?.pair === true && isBehind(portMin, addressMin);
  const port = pair ? null : ends(registers, portMin, portMax, typeNamed("inet_service"));
  if (addressMin !== undefined && address === null) return null;
  if (!pair && portMin !== undefined && port === null) return null;
  return {
    kind: "nat",
    type,
    family: tableFamily === "inet" ? network ?? null : null,
    address,
    port,
    pair,
    flags: natFlagNames(flags),
  };
}

/** A translation to an address of the node itself; null for what is not understood. */
export function ownNatOf(
  { kind, portMin, portMax, flags = 0 }: ExpressionOf<"masq" | "redir">,
  registers: Registers,
): Nat | null {
  const port = ends(registers, portMin, portMax, typeNamed("inet_service"));
  if (portMin !== undefined && port === null) return null;
  return {
    kind: "nat",
    type: kind === "masq" ? "masquerade" : "redirect",
    family: null,
    address: null,
    port,
    pair: false,
    flags: natFlagNames(flags),
  };
}

/** What one register holds, or the range between two; null when nothing is understood of it. */
function ends(
  registers: Registers,
  min: number | undefined,
  max: number | undefined,
  type: DataType,
): Expression | null {
  const from = registers.value(min, type);
  if (from === null || max === undefined || max === min) return from;
  const to = registers.value(max, type);
  return to !== null && isEnd(from) && isEnd(to) ? rangeOf(from, to) : null;
}

function isEnd(expression: Expression): expression is Value {
  return expression.kind === "address" || expression.kind === "number";
}

/**
 * With what packets are rejected: numbers of ICMP's codes by nft's names of them.
 *
 * @module
 */

import type { ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import type { Reject, TableFamily } from "../language/ast.ts";
import { CompileError } from "./values.ts";

type Kind = "icmp" | "icmpv6" | "icmpx";

const CODES: Readonly<Record<Kind, Readonly<Record<string, number>>>> = {
  icmp: {
    "net-unreachable": 0,
    "host-unreachable": 1,
    "prot-unreachable": 2,
    "port-unreachable": 3,
    "net-prohibited": 9,
    "host-prohibited": 10,
    "admin-prohibited": 13,
  },
  icmpv6: {
    "no-route": 0,
    "admin-prohibited": 1,
    "addr-unreachable": 3,
    "port-unreachable": 4,
    "policy-fail": 5,
    "reject-route": 6,
  },
  icmpx: { "no-route": 0, "port-unreachable": 1, "host-unreachable": 2, "admin-prohibited": 3 },
};

/** ICMP's kind in tables of a family. */
function ownKind(family: "ip" | "ip6"): "icmp" | "icmpv6" {
  return family === "ip" ? "icmp" : "icmpv6";
}

/** The kernel's expression for a reject that is not by TCP. Throws CompileError. */
export function rejectExpression(reject: Reject["with"], family: "ip" | "ip6") {
  const own = ownKind(family);
  const { type, code } = reject === null || reject.type === "tcp reset"
    ? { type: own, code: "port-unreachable" }
    : reject;
  const number = CODES[type][code];
  if (number === undefined || type !== "icmpx" && type !== own) {
    throw new CompileError(`reject with ${type} ${code} is not possible in family ${family}`);
  }
  return { kind: "reject", type: type === "icmpx" ? "icmpx" : "icmp", code: number } as const;
}

/**
 * What an expression rejects with; undefined for what is not known.
 *
 * @param network what packets have that come to it; null: either.
 */
export function rejectOf(
  { type, code }: ExpressionOf<"reject">,
  family: TableFamily,
  network: "ip" | "ip6" | null,
): Reject["with"] | undefined {
  if (type === "tcp reset") return { type };
  if (type !== "icmp" && type !== "icmpx") return undefined;
  const kind = type === "icmpx" ? type : ownKind(network ?? "ip");
  const name = Object.keys(CODES[kind]).find((name) => CODES[kind][name] === code);
  if (name === undefined) return undefined;
  const usual = family === "ip" || family === "ip6" ? ownKind(family) : "icmpx";
  return kind === usual && name === "port-unreachable" ? null : { type: kind, code: name };
}

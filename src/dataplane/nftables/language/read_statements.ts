/**
 * Statements out of the words of a rule. What is not known is kept by its text, as far as the next
 * word that begins a statement for certain.
 *
 * @module
 */

import type {
  Expression,
  Match,
  Nat,
  Reject,
  Selector,
  SetUpdate,
  Statement,
  TableFamily,
  Value,
} from "./ast.ts";
import { readDuration, readValue, readVerdict } from "./read_elements.ts";
import { isSelector, readExpression, readMap, readSelector } from "./read_expressions.ts";
import { readNat } from "./read_nat.ts";
import { readStateful } from "./read_stateful.ts";
import { flagsOf, readPlainValue } from "./read_values.ts";
import { NftTextError, type Tokens } from "./tokens.ts";
import { isFlagType, typesOf } from "./types.ts";

/** What the meaning of a rule's words depends on. */
export interface RuleContext {
  readonly family: TableFamily;
  /** Whether a named map leads to an address and a port. */
  readonly leadsToPair: (map: string) => boolean;
}

/** The statements of a rule up to its comment, the line's end or a brace. Throws NftTextError. */
export function readStatements(tokens: Tokens, context: RuleContext): Statement[] {
  const statements: Statement[] = [];
  while (!isOver(tokens)) {
    const start = tokens.place;
    try {
      statements.push(readStatement(tokens, context));
    } catch (error) {
      if (!(error instanceof NftTextError)) throw error;
      tokens.backTo(start);
      statements.push(readUnknown(tokens));
    }
  }
  return statements;
}

function isOver(tokens: Tokens): boolean {
  return tokens.kind === "end" || tokens.kind === "line" || tokens.is("}") || tokens.is("comment");
}

/** Words that begin a statement wherever they stand. */
const BEGINNINGS = new Set([
  ...["accept", "drop", "return", "continue", "jump", "goto", "reject", "counter", "log"],
  ...["dnat", "snat", "masquerade", "redirect", "notrack"],
]);

function readUnknown(tokens: Tokens): Statement {
  const start = tokens.place;
  let depth = 0;
  do {
    if (tokens.kind === "end") break;
    if (tokens.is("{")) depth++;
    if (tokens.is("}")) depth--;
    tokens.advance();
  } while (depth > 0 || !(isOver(tokens) || tokens.kind === "word" && BEGINNINGS.has(tokens.text)));
  return { kind: "unknown", text: tokens.since(start) };
}

function readStatement(tokens: Tokens, context: RuleContext): Statement {
  const verdict = readVerdict(tokens);
  if (verdict !== null) return { kind: "verdict", verdict };
  const stateful = readStateful(tokens);
  if (stateful !== null) return stateful;
  if (isSelector(tokens)) return readAboutSelector(tokens, context);
  if (tokens.kind !== "word") throw tokens.unexpected("a statement");
  const { text } = tokens;
  switch (text) {
    case "log":
      tokens.advance();
      return { kind: "log", text: readLogOptions(tokens) };
    case "notrack":
      tokens.advance();
      return { kind: "notrack" };
    case "dnat":
    case "snat":
    case "masquerade":
    case "redirect":
      tokens.advance();
      return withPair(readNat(tokens, text), context);
    case "reject":
      tokens.advance();
      return readReject(tokens, context.family);
    case "add":
    case "update":
    case "delete":
      tokens.advance();
      return readUpdate(tokens, text);
    case "set":
      tokens.advance();
      return readOldUpdate(tokens);
    case "xt":
      return readExtension(tokens);
  }
  throw tokens.unexpected("a statement");
}

/** `xt match "NAME"`: what nft shows of rules that iptables has made and it cannot say. */
function readExtension(tokens: Tokens): Statement {
  const start = tokens.place;
  tokens.advance();
  tokens.word("match or target");
  tokens.quoted("an extension's name");
  return { kind: "unknown", text: tokens.since(start) };
}

function readAboutSelector(tokens: Tokens, { family }: RuleContext): Statement {
  const left = withFamily(readSelector(tokens), family);
  if (tokens.take("vmap")) return { kind: "vmap", key: left, map: readMap(tokens, typesOf(left)) };
  if (tokens.take("set")) {
    const value = readExpression(tokens, typesOf(left)[0]);
    if (tokens.is(",")) throw tokens.unexpected("one value");
    return { kind: "mangle", target: left, value };
  }
  return readMatch(tokens, left);
}

/** `ct original saddr` is an address of the table's family. */
function withFamily(selector: Selector, family: TableFamily): Selector {
  if (selector.kind !== "ct" || family !== "ip" && family !== "ip6") return selector;
  return selector.key === "saddr" || selector.key === "daddr"
    ? { ...selector, key: `${family} ${selector.key}` }
    : selector;
}

const COMPARISONS: Readonly<Record<string, Match["operator"]>> = {
  "==": "==",
  "!=": "!=",
  "<": "<",
  ">": ">",
  "<=": "<=",
  ">=": ">=",
  eq: "==",
  ne: "!=",
  lt: "<",
  gt: ">",
  le: "<=",
  ge: ">=",
};

function readMatch(tokens: Tokens, left: Selector): Match {
  const types = typesOf(left);
  const flags = left.kind !== "bitwise" && isFlagType(types[0]);
  if (tokens.take("!")) {
    return noneOf(left, readList(tokens, types[0], readPlainValue(tokens, types)));
  }
  const written = tokens.kind !== "string" && Object.hasOwn(COMPARISONS, tokens.text)
    ? COMPARISONS[tokens.text]
    : null;
  if (written !== null) tokens.advance();
  const prefixed = readPrefixed(tokens, left, types[0]);
  if (prefixed !== null) return { kind: "match", ...prefixed, operator: equality(written) };
  const value = readValue(tokens, types);
  if (isFlagType(types[0])) {
    const list = readList(tokens, types[0], value);
    if (flags && tokens.take("/")) {
      const mask = readList(tokens, types[0], readPlainValue(tokens, types));
      return { kind: "match", left: masked(left, mask), operator: equality(written), right: list };
    }
    // Flags joined by bars are meant exactly, those in a list one by one.
    const exact = value.kind === "flags" && list === value;
    if (flags && exact && written === null) {
      return { kind: "match", left, operator: "==", right: value };
    }
    if (flags) return { kind: "match", left, operator: written ?? "is", right: list };
    return anyOf(left, written, list);
  }
  return {
    kind: "match",
    left,
    operator: written === "==" || written === null ? "is" : written,
    right: value,
  };
}

/** nft lists a mark of which the first bits count, `& 0x80000000 == 0`, as a prefix: `0x0/1`. */
function readPrefixed(
  tokens: Tokens,
  left: Selector,
  type: string,
): Pick<Match, "left" | "right"> | null {
  if (type !== "mark" || tokens.kind !== "word") return null;
  const [, number, prefix] = /^(0x[0-9a-f]+)\/(\d+)$/i.exec(tokens.text) ?? [];
  if (number === undefined || Number(prefix) > MARK_BITS) return null;
  tokens.advance();
  const mask = 2 ** MARK_BITS - 2 ** (MARK_BITS - Number(prefix));
  return {
    left: masked(left, { kind: "number", value: mask }),
    right: { kind: "number", value: Number(number) },
  };
}

const MARK_BITS = 32;

function equality(written: Match["operator"] | null): "is" | "!=" {
  return written === "!=" ? "!=" : "is";
}

/** Flags that a comma joins to a first one. */
function readList(tokens: Tokens, type: string, first: Value): Value {
  if (!tokens.is(",")) return first;
  const values = [first];
  while (tokens.take(",")) values.push(readPlainValue(tokens, [type]));
  return flagsOf(tokens, values, type);
}

function masked(left: Selector, mask: Value): Selector {
  return { kind: "bitwise", operator: "&", left, right: mask };
}

function noneOf(left: Selector, flags: Value): Match {
  return {
    kind: "match",
    left: masked(left, flags),
    operator: "is",
    right: { kind: "number", value: 0 },
  };
}

/** `tcp flags & (syn | ack) != 0` is `tcp flags syn,ack`. */
function anyOf(left: Selector, written: Match["operator"] | null, right: Value): Match {
  const zero = right.kind === "number" && right.value === 0;
  if (zero && written === "!=" && left.kind === "bitwise" && left.operator === "&") {
    const { right: mask } = left;
    if (mask.kind === "flags" || mask.kind === "symbol") {
      return { kind: "match", left: left.left as Selector, operator: "is", right: mask };
    }
  }
  const operator = written === "==" || written === null ? "is" : written;
  return { kind: "match", left, operator, right };
}

/** Whether the address brings the port with it. */
function withPair(nat: Nat, { leadsToPair }: RuleContext): Nat {
  return nat.pair || nat.address === null || !isPair(nat.address, leadsToPair)
    ? nat
    : { ...nat, pair: true };
}

function isPair(address: Expression, leadsToPair: (map: string) => boolean): boolean {
  if (address.kind !== "map") return false;
  const { map } = address;
  if (map.kind === "reference") return leadsToPair(map.name);
  return map.elements.some(({ data }) => data?.kind === "concat");
}

function readReject(tokens: Tokens, family: TableFamily): Reject {
  if (!tokens.take("with")) return { kind: "reject", with: null };
  if (tokens.take("tcp")) {
    tokens.expect("reset");
    return { kind: "reject", with: { type: "tcp reset" } };
  }
  const type = tokens.word("icmp, icmpv6 or icmpx");
  if (type !== "icmp" && type !== "icmpv6" && type !== "icmpx") {
    throw tokens.unexpected("icmp, icmpv6 or icmpx");
  }
  tokens.take("type");
  const code = tokens.word("a code");
  const usual = { ip: "icmp", ip6: "icmpv6", inet: "icmpx", bridge: "icmpx" } as const;
  const implied = (usual as Record<string, string>)[family] === type && code === "port-unreachable";
  return { kind: "reject", with: implied ? null : { type, code } };
}

function readUpdate(tokens: Tokens, operation: SetUpdate["operation"]): SetUpdate {
  if (!tokens.text.startsWith("@")) throw tokens.unexpected("@ and a set's name");
  const set = tokens.word("a set's name").slice(1);
  tokens.expect("{");
  const key = readSelector(tokens);
  let timeout: number | null = null;
  const statements: Statement[] = [];
  for (;;) {
    if (tokens.take("timeout")) {
      timeout = readDuration(tokens);
      continue;
    }
    const statement = readStateful(tokens);
    if (statement === null) break;
    statements.push(statement);
  }
  const data = tokens.take(":") ? readExpression(tokens) : null;
  tokens.expect("}");
  return { kind: "update", operation, set, key, data, timeout, statements };
}

/** `set update ip saddr timeout 5m @name`, as versions before 0.9 write it. */
function readOldUpdate(tokens: Tokens): SetUpdate {
  const operation = tokens.word("add or update");
  if (operation !== "add" && operation !== "update" && operation !== "delete") {
    throw tokens.unexpected("add or update");
  }
  const key = readSelector(tokens);
  const timeout = tokens.take("timeout") ? readDuration(tokens) : null;
  if (!tokens.text.startsWith("@")) throw tokens.unexpected("@ and a set's name");
  const set = tokens.word("a set's name").slice(1);
  return { kind: "update", operation, set, key, data: null, timeout, statements: [] };
}

/** Options of `log` that take one word or text. */
const LOG_OPTIONS = new Set(["prefix", "group", "snaplen", "queue-threshold", "level"]);

function readLogOptions(tokens: Tokens): string {
  const start = tokens.place;
  for (;;) {
    if (tokens.kind === "word" && LOG_OPTIONS.has(tokens.text)) {
      tokens.advance();
      tokens.quoted("an option's value");
    } else if (tokens.take("flags")) {
      if (tokens.is("tcp") || tokens.is("ip")) tokens.advance();
      tokens.word("a flag");
      while (tokens.take(",")) tokens.word("a flag");
    } else {
      return tokens.since(start);
    }
  }
}

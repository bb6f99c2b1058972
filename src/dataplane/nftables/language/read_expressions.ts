/**
 * Selectors and values out of the words of a rule.
 *
 * @module
 */

import type {
  AnonymousSet,
  Bitwise,
  Expression,
  Fib,
  MapLookup,
  Selector,
  SetReference,
} from "./ast.ts";
import { readElements, readValue } from "./read_elements.ts";
import { readOneValue, readReference } from "./read_values.ts";
import type { Tokens } from "./tokens.ts";
import { typesOf } from "./types.ts";

const OTHER = "other";

/** `meta` keys that stand without the word meta. */
const SHORT_META = new Set([
  "mark",
  "iif",
  "iifname",
  "iiftype",
  "iifgroup",
  "oif",
  "oifname",
  "oiftype",
  "oifgroup",
  "skuid",
  "skgid",
  "nftrace",
  "rtclassid",
  "ibrname",
  "obrname",
  "pkttype",
  "cpu",
  "cgroup",
]);

/** Headers whose fields are named by one word. */
const HEADERS = new Set([
  "ether",
  "vlan",
  "arp",
  "ip",
  "icmp",
  "igmp",
  "ip6",
  "icmpv6",
  "tcp",
  "udp",
  "udplite",
  "sctp",
  "dccp",
  "th",
  "ah",
  "esp",
  "comp",
  "frag",
  "hbh",
  "dst",
  "mh",
  "srh",
]);

/** Selectors that are kept by their text. */
const OTHERS = new Set(["socket", "rt", "osf", "ipsec", "exthdr"]);

/** Words in front of the part of a header that may be there or not. */
const OPTIONS = new Set(["option", "chunk"]);

/** Fields of such parts. */
const OPTION_FIELDS = new Set([
  ...["kind", "length", "size", "count", "left", "right", "tsval", "tsecr", "ptr", "addr", "type"],
  ...["value", "flags", "tsn", "stream", "ssn", "ppid"],
]);

const OPERATORS: Readonly<Record<string, Bitwise["operator"]>> = {
  "&": "&",
  "|": "|",
  "^": "^",
  "<<": "<<",
  ">>": ">>",
  and: "&",
  or: "|",
  xor: "^",
  lshift: "<<",
  rshift: ">>",
};

const PRECEDENCE: Readonly<Record<Bitwise["operator"], number>> = {
  "|": 1,
  "^": 2,
  "&": 3,
  "<<": 4,
  ">>": 4,
};

/** Words that begin selectors. */
const BEGINNINGS = new Set([
  ...["meta", "ct", "fib", "numgen", "jhash", "symhash", "@ll", "@nh", "@th", "@ih"],
  ...HEADERS,
  ...SHORT_META,
  ...OTHERS,
]);

/** Whether a selector begins at the current token. */
export function isSelector({ kind, text }: Tokens): boolean {
  return kind === "word" && BEGINNINGS.has(text);
}

/** A selector, with what is done to it and further ones joined by dots. Throws NftTextError. */
export function readSelector(tokens: Tokens): Selector {
  const first = readPart(tokens);
  if (!tokens.is(".")) return first;
  const parts = [first];
  while (tokens.take(".")) parts.push(readPart(tokens));
  return { kind: "concat", parts };
}

/** A selector or value, what a statement sets. Throws NftTextError. */
export function readExpression(tokens: Tokens, type: string = OTHER): Expression {
  if (!isSelector(tokens)) return readBinary(tokens, readValue(tokens, [type]), 1);
  const key = readSelector(tokens);
  return tokens.take("map") ? readMapLookup(tokens, key) : key;
}

/** What follows the word `map`. */
function readMapLookup(tokens: Tokens, key: Selector): MapLookup {
  return { kind: "map", key, map: readMap(tokens, typesOf(key)) };
}

/** `@name`, or elements in braces. Throws NftTextError. */
export function readMap(tokens: Tokens, types: readonly string[]): SetReference | AnonymousSet {
  if (tokens.is("{")) return { kind: "set", elements: readElements(tokens, types, [OTHER]) };
  return readReference(tokens);
}

function readPart(tokens: Tokens): Selector {
  return readBinary(tokens, readBasic(tokens), 1) as Selector;
}

/** What is done to a first operand by operators that bind at least so tightly. */
function readBinary(tokens: Tokens, first: Expression, least: number): Expression {
  let left = first;
  for (;;) {
    const operator = Object.hasOwn(OPERATORS, tokens.text) && tokens.kind !== "string"
      ? OPERATORS[tokens.text]
      : null;
    if (operator === null || PRECEDENCE[operator] < least) return left;
    tokens.advance();
    const operand = readOperand(tokens, typesOf(left)[0]);
    const right = readBinary(tokens, operand, PRECEDENCE[operator] + 1);
    left = { kind: "bitwise", operator, left, right };
  }
}

function readOperand(tokens: Tokens, type: string): Expression {
  if (isSelector(tokens)) return readBasic(tokens);
  return readOneValue(tokens, type);
}

function readBasic(tokens: Tokens): Selector {
  const start = tokens.place;
  const word = tokens.word("a selector");
  if (HEADERS.has(word)) {
    if (OPTIONS.has(tokens.text)) return readOption(tokens, start);
    return { kind: "payload", protocol: word, field: tokens.word("a field's name") };
  }
  switch (word) {
    case "meta":
      return { kind: "meta", key: tokens.word("what of the packet is meant") };
    case "ct":
      return readConnection(tokens);
    case "fib":
      return readFib(tokens);
    case "numgen":
      return readGenerator(tokens);
    case "jhash":
    case "symhash":
      return readHash(tokens, word);
    case "@ll":
    case "@nh":
    case "@th":
    case "@ih":
      return readRaw(tokens, word.slice(1) as "ll" | "nh" | "th" | "ih");
  }
  if (SHORT_META.has(word)) return { kind: "meta", key: word };
  tokens.backTo(start);
  if (OTHERS.has(word)) return readOther(tokens);
  throw tokens.unexpected("a selector");
}

/** `tcp option maxseg size`: the header's name is behind. */
function readOption(tokens: Tokens, start: Tokens["place"]): Selector {
  tokens.advance();
  tokens.word("an option's name");
  if (OPTION_FIELDS.has(tokens.text)) tokens.advance();
  return { kind: "other", text: tokens.since(start) };
}

function readOther(tokens: Tokens): Selector {
  const start = tokens.place;
  const word = tokens.word("a selector");
  if (word === "rt" && (tokens.is("ip") || tokens.is("ip6"))) tokens.advance();
  if (word === "osf" && tokens.take("ttl")) tokens.advance();
  if (word === "ipsec") {
    tokens.word("in or out");
    if (tokens.take("spnum")) tokens.advance();
    if (tokens.is("ip") || tokens.is("ip6")) tokens.advance();
  }
  tokens.word("what is meant");
  if (word === "socket" && tokens.take("level")) tokens.advance();
  return { kind: "other", text: tokens.since(start) };
}

function readConnection(tokens: Tokens): Selector {
  const direction = tokens.is("original") || tokens.is("reply")
    ? tokens.word("a direction") as "original" | "reply"
    : null;
  let key = tokens.word("what of the connection is meant");
  if (key === "count") throw tokens.unexpected("something else of the connection");
  if (key === "ip" || key === "ip6") key += ` ${tokens.word("an address' name")}`;
  return { kind: "ct", direction, key };
}

function readFib(tokens: Tokens): Fib {
  const flags = [tokens.word("what the route is looked up for")];
  while (tokens.take(".")) flags.push(tokens.word("what the route is looked up for"));
  const result = tokens.word("what of the route is meant");
  if (result !== "type" && result !== "oif" && result !== "oifname" && result !== "check") {
    throw tokens.unexpected("type, oif or oifname");
  }
  return { kind: "fib", flags, result };
}

function readGenerator(tokens: Tokens): Selector {
  const mode = tokens.word("random or inc");
  if (mode !== "random" && mode !== "inc") throw tokens.unexpected("random or inc");
  tokens.expect("mod");
  const modulus = readNumber(tokens);
  const offset = tokens.take("offset") ? readNumber(tokens) : 0;
  return { kind: "numgen", mode, modulus, offset };
}

function readHash(tokens: Tokens, word: "jhash" | "symhash"): Selector {
  const of = word === "jhash" ? readSelector(tokens) : null;
  tokens.expect("mod");
  const modulus = readNumber(tokens);
  const seed = tokens.take("seed") ? readNumber(tokens) : null;
  const offset = tokens.take("offset") ? readNumber(tokens) : 0;
  return { kind: "hash", of, modulus, seed, offset };
}

function readRaw(tokens: Tokens, base: "ll" | "nh" | "th" | "ih"): Selector {
  tokens.expect(",");
  const offset = readNumber(tokens);
  tokens.expect(",");
  return { kind: "raw", base, offset, length: readNumber(tokens) };
}

/** A number in decimal or hexadecimal. Throws NftTextError. */
export function readNumber(tokens: Tokens): number {
  if (tokens.kind !== "word" || !/^(?:\d+|0x[0-9a-f]+)$/i.test(tokens.text)) {
    throw tokens.unexpected("a number");
  }
  return Number(tokens.word("a number"));
}

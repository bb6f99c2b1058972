/**
 * Rules as text: as `nft list` writes them and `nft -f` takes them. Elements stand one a line.
 *
 * @module
 */

import type {
  BaseChain,
  Chain,
  Element,
  Match,
  Nat,
  Rule,
  Ruleset,
  SetUpdate,
  Statement,
  Table,
  TableFamily,
  Value,
} from "./ast.ts";
import type { NamedSet } from "./ast.ts";
import { formatDuration } from "./durations.ts";
import { priorityText } from "./priorities.ts";
import {
  elementText,
  expressionText,
  mapText,
  selectorText,
  statefulText,
  valueText,
  verdictText,
} from "./print_expressions.ts";
import { typesOf } from "./types.ts";

export { selectorText, valueText, verdictText } from "./print_expressions.ts";

/** All tables, with a line end behind each line. */
export function printRuleset({ tables }: Ruleset): string {
  return tables.map(printTable).join("");
}

/** A table with all that is in it, with a line end behind each line. */
export function printTable(table: Table): string {
  const { family, name, comment, flags, sets, chains, objects } = table;
  const head = [
    ...(comment === null ? [] : [`\tcomment "${comment}"\n`]),
    ...(flags.length === 0 ? [] : [`\tflags ${flags.join(",")}\n`]),
  ].join("");
  const parts = [
    ...objects.map((text) => `\t${text}\n`),
    ...sets.map((set) => block(setHead(set), setLines(set))),
    ...chains.map((chain) => block(`chain ${chain.name}`, chainLines(chain, family))),
  ];
  const body = [...(head === "" ? [] : [head]), ...parts].join("\n");
  return `table ${family} ${name} {\n${body}}\n`;
}

/** A set or map without what is in it. */
type Declared = Omit<NamedSet, "elements" | "handle">;

/** The lines that {@link printTable} has in front of the first set or chain of a table. */
export function headLineCount({ comment, flags }: Pick<Table, "comment" | "flags">): number {
  return 1 + (comment === null ? 0 : 1) + (flags.length === 0 ? 0 : 1);
}

/** The lines of a set of so many elements there, with the empty one in front of it. */
export function setLineCount(set: Declared, elements: number): number {
  return 3 + setProperties(set).length + elements;
}

/** The lines of a chain there in front of its rules, with the empty one in front of it. */
export function chainHeadLineCount({ base, comment }: Pick<Chain, "base" | "comment">): number {
  return 2 + (comment === null ? 0 : 1) + (base === null ? 0 : 1);
}

/** The lines of a chain there, with the empty one in front of it. */
export function chainLineCount(chain: Chain): number {
  return chainHeadLineCount(chain) + chain.rules.length + 1;
}

function block(head: string, lines: readonly string[]): string {
  return `\t${head} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;
}

/** `set NAME` or `map NAME`. */
export function setHead({ name, data }: NamedSet): string {
  return `${data === null ? "set" : "map"} ${name}`;
}

/** What stands between a set's braces; elements are one line with line ends in it. */
function setLines(set: NamedSet): string[] {
  const { elements } = set;
  if (elements.length === 0) return setProperties(set);
  const texts = elements.map((element) => setElementText(set, element));
  return [...setProperties(set), `elements = { ${texts.join(",\n\t\t\t     ")} }`];
}

/** What a set is declared with, all but its elements. */
export function setProperties(set: Declared): string[] {
  const { flags, timeout, gcInterval, size, policy, autoMerge, statements, comment } = set;
  return [
    typeLine(set),
    ...(policy === null ? [] : [`policy ${policy}`]),
    ...(size === null ? [] : [`size ${size}`]),
    ...(flags.length === 0 ? [] : [`flags ${flags.join(",")}`]),
    ...(timeout === null ? [] : [`timeout ${formatDuration(timeout)}`]),
    ...(gcInterval === null ? [] : [`gc-interval ${formatDuration(gcInterval)}`]),
    ...(autoMerge ? ["auto-merge"] : []),
    ...statements.map(statefulText),
    ...(comment === null ? [] : [`comment "${comment}"`]),
  ];
}

function typeLine({ key, data, typeof: declared }: Declared): string {
  if (declared !== null) {
    const text = `typeof ${expressionText(declared.key, [])}`;
    if (declared.data === null) return text;
    return `${text} : ${
      declared.data === "verdict" ? "verdict" : expressionText(declared.data, [])
    }`;
  }
  const text = `type ${key.join(" . ")}`;
  return data === null ? text : `${text} : ${data.join(" . ")}`;
}

/** An element of a set. */
export function setElementText({ key, data }: NamedSet, element: Element): string {
  return elementText(element, key, data ?? []);
}

function chainLines({ base, comment, rules }: Chain, family: TableFamily): string[] {
  return [
    ...(comment === null ? [] : [`comment "${comment}"`]),
    ...(base === null ? [] : [baseText(base, family)]),
    ...rules.map(printRule),
  ];
}

/** What makes a chain a base chain, in one line. */
export function baseText(base: BaseChain, family: TableFamily): string {
  const { type, hook, priority, policy, devices } = base;
  const links = devices.map((device) => `"${device}"`).join(", ");
  const device = devices.length === 0
    ? ""
    : devices.length === 1
    ? ` device ${links}`
    : ` devices = { ${links} }`;
  const order = priorityText(priority, family, hook);
  return `type ${type} hook ${hook}${device} priority ${order}; policy ${policy};`;
}

/** A rule in one line, with its comment. */
export function printRule({ statements, comment }: Rule): string {
  const text = statements.map(statementText).join(" ");
  if (comment === null) return text;
  return `${text}${text === "" ? "" : " "}comment "${comment}"`;
}

/** A statement. */
export function statementText(statement: Statement): string {
  switch (statement.kind) {
    case "match":
      return matchText(statement);
    case "verdict":
      return verdictText(statement.verdict);
    case "vmap":
      return `${selectorText(statement.key)} vmap ${mapText(statement.map, statement.key, [])}`;
    case "mangle": {
      const { target, value } = statement;
      return `${selectorText(target)} set ${expressionText(value, typesOf(target))}`;
    }
    case "nat":
      return natText(statement);
    case "reject": {
      const { with: answer } = statement;
      if (answer === null) return "reject";
      if (answer.type === "tcp reset") return "reject with tcp reset";
      return `reject with ${answer.type} ${answer.code}`;
    }
    case "update":
      return updateText(statement);
    case "counter":
    case "limit":
    case "unknown":
      return statefulText(statement);
    case "log":
      return statement.text === "" ? "log" : `log ${statement.text}`;
    case "notrack":
      return "notrack";
  }
}

function matchText({ left, operator, right }: Match): string {
  const types = typesOf(left);
  if (left.kind === "bitwise" && (operator === "is" || operator === "!=")) {
    const { operator: inner, right: mask } = left;
    if (inner === "&" && isFlags(mask) && isFlags(right)) {
      const sign = operator === "is" ? "" : "!= ";
      return `${selectorText(left.left as typeof left)} ${sign}${listText(right)} / ${
        listText(mask)
      }`;
    }
    return `${selectorText(left)} ${operator === "is" ? "==" : operator} ${
      valueText(right, types)
    }`;
  }
  const sign = operator === "is" ? "" : `${operator} `;
  const value = right.kind === "flags" ? listText(right) : valueText(right, types);
  return `${selectorText(left)} ${sign}${value}`;
}

function isFlags(value: { readonly kind: string }): boolean {
  return value.kind === "flags" || value.kind === "symbol";
}

function listText(flags: { readonly kind: string }): string {
  const value = flags as Value;
  return value.kind === "flags" ? value.names.join(",") : valueText(value, []);
}

function natText({ type, family, address, port, pair, flags }: Nat): string {
  let text: string = type;
  if (family !== null) text += ` ${family}`;
  if (pair) text += " addr . port";
  if (address !== null || port !== null) {
    const portText = port === null ? "" : `:${expressionText(port, [])}`;
    text += ` to ${address === null ? "" : targetText(address, port !== null)}${portText}`;
  }
  return flags.length === 0 ? text : `${text} ${flags.join(",")}`;
}

/** IPv6 addresses in front of a port are in brackets. */
function targetText(address: Nat["address"] & object, withPort: boolean): string {
  const plain = expressionText(address, []);
  if (!withPort || !plain.includes(":")) return plain;
  if (address.kind === "range") {
    return `[${valueText(address.from, [])}]-[${valueText(address.to, [])}]`;
  }
  return address.kind === "address" || address.kind === "network" ? `[${plain}]` : plain;
}

function updateText(update: SetUpdate): string {
  const { operation, set, key, data, timeout, statements } = update;
  const parts = [
    selectorText(key),
    ...(timeout === null ? [] : [`timeout ${formatDuration(timeout)}`]),
    ...statements.map(statefulText),
    ...(data === null ? [] : [`: ${expressionText(data, [])}`]),
  ];
  return `${operation} @${set} { ${parts.join(" ")} }`;
}

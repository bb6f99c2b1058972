/**
 * Tables, chains and rules out of what is between their braces.
 *
 * @module
 */

import type { BaseChain, HookName, Rule, TableFamily } from "./ast.ts";
import { type ChainBuilder, chainOf, type TableBuilder } from "./builder.ts";
import { priorityNumber } from "./priorities.ts";
import { readFlags, readSet } from "./read_set.ts";
import { readStatements, type RuleContext } from "./read_statements.ts";
import type { Tokens } from "./tokens.ts";

const FAMILIES: readonly string[] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];

const HOOKS: readonly string[] = [
  ...["prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"],
];

/** The name of a table, and its family: `ip` where none is named. Throws NftTextError. */
export function readTableName(tokens: Tokens): { family: TableFamily; name: string } {
  const family = readFamily(tokens) ?? "ip";
  return { family, name: tokens.quoted("a table's name") };
}

/** A family, if the current token is one. */
export function readFamily(tokens: Tokens): TableFamily | null {
  if (tokens.kind !== "word" || !FAMILIES.includes(tokens.text)) return null;
  return tokens.word("a family") as TableFamily;
}

/** Reads from the opening brace to the closing one. Throws NftTextError. */
export function readTableBody(tokens: Tokens, table: TableBuilder): void {
  tokens.takeHandle();
  tokens.expect("{");
  for (;;) {
    tokens.skipLines();
    table.handle ??= tokens.takeHandle();
    if (tokens.take("}")) return;
    readTablePart(tokens, table);
    tokens.takeHandle();
  }
}

function readTablePart(tokens: Tokens, table: TableBuilder): void {
  const start = tokens.place;
  switch (tokens.word("a table's part")) {
    case "comment":
      table.comment = tokens.quoted("a comment");
      return;
    case "flags":
      table.flags = readFlags(tokens);
      return;
    case "chain":
      readChainBody(tokens, table, chainOf(table, tokens.quoted("a chain's name")));
      return;
    case "set":
    case "map": {
      const name = tokens.quoted("a set's name");
      const set = readSet(tokens, name);
      const known = table.sets.get(name);
      table.sets.set(
        name,
        known === undefined ? set : { ...set, elements: [...known.elements, ...set.elements] },
      );
      return;
    }
    default:
      skipObject(tokens);
      table.objects.push(tokens.since(start).replace(/ # handle \d+/g, ""));
  }
}

/** Goes over anything that has a body in braces. Throws NftTextError. */
export function skipObject(tokens: Tokens): void {
  while (tokens.kind === "word" || tokens.kind === "string") tokens.advance();
  if (!tokens.is("{")) throw tokens.unexpected("a chain, set, map or object");
  let depth = 0;
  do {
    if (tokens.kind === "end") throw tokens.unexpected("a closing brace");
    if (tokens.is("{")) depth++;
    if (tokens.is("}")) depth--;
    tokens.advance();
  } while (depth > 0);
}

/** Reads from the opening brace to the closing one. Throws NftTextError. */
export function readChainBody(tokens: Tokens, table: TableBuilder, chain: ChainBuilder): void {
  const context = contextOf(table);
  tokens.takeHandle();
  tokens.expect("{");
  for (;;) {
    tokens.skipLines();
    chain.handle ??= tokens.takeHandle();
    if (tokens.take("}")) return;
    readChainLine(tokens, table, chain, context);
  }
}

function readChainLine(
  tokens: Tokens,
  table: TableBuilder,
  chain: ChainBuilder,
  context: RuleContext,
): void {
  if (tokens.take("comment")) {
    chain.comment = tokens.quoted("a comment");
  } else if (tokens.take("type")) {
    chain.base = readBase(tokens, table.family);
  } else if (tokens.take("policy")) {
    const { base } = chain;
    const policy = readPolicy(tokens);
    if (base === null) throw tokens.unexpected("a policy behind the chain's type");
    chain.base = { ...base, policy };
  } else if (tokens.take("flags")) {
    readFlags(tokens);
  } else {
    chain.rules.push(readRule(tokens, context));
    tokens.takeHandle();
  }
}

/** What the rules of a table are read with. */
export function contextOf({ family, sets }: TableBuilder): RuleContext {
  return { family, leadsToPair: (map) => sets.get(map)?.data?.length === 2 };
}

/** A rule up to the line's end. Throws NftTextError. */
export function readRule(tokens: Tokens, context: RuleContext): Rule {
  const { line } = tokens;
  tokens.takeHandle();
  const statements = readStatements(tokens, context);
  const comment = tokens.take("comment") ? tokens.quoted("a comment") : null;
  if (statements.length === 0 && comment === null) throw tokens.unexpected("a rule");
  // The comment with the handle has been passed to get to the line's end.
  const handle = tokens.takeHandle();
  if (tokens.kind !== "line" && tokens.kind !== "end" && !tokens.is("}")) {
    throw tokens.unexpected("the end of the rule");
  }
  return { statements, comment, handle, line };
}

/** `filter hook input device "lo" priority filter + 10`, and a policy if one follows. */
function readBase(tokens: Tokens, family: TableFamily): BaseChain {
  const type = tokens.word("a chain's type");
  if (type !== "filter" && type !== "nat" && type !== "route") {
    throw tokens.unexpected("filter, nat or route");
  }
  tokens.expect("hook");
  if (!HOOKS.includes(tokens.text)) throw tokens.unexpected("a hook's name");
  const hook = tokens.word("a hook's name") as HookName;
  const devices = readDevices(tokens);
  tokens.expect("priority");
  return { type, hook, priority: readPriority(tokens, family), policy: "accept", devices };
}

function readDevices(tokens: Tokens): string[] {
  if (tokens.take("device")) return [tokens.quoted("a link's name")];
  if (!tokens.take("devices")) return [];
  tokens.expect("=");
  tokens.expect("{");
  const devices: string[] = [];
  while (!tokens.take("}")) {
    devices.push(tokens.quoted("a link's name"));
    if (!tokens.is("}")) tokens.expect(",");
  }
  return devices;
}

function readPriority(tokens: Tokens, family: TableFamily): number {
  let text = "";
  const start = tokens.place;
  while (tokens.kind === "word") text += tokens.word("a priority");
  const parts = /^([a-z]+)?([+-]?\d+)?$/.exec(text);
  const [, name, offset = "0"] = parts ?? [];
  const base = name === undefined ? 0 : priorityNumber(name, family);
  if (parts === null || text === "" || base === undefined) {
    tokens.backTo(start);
    throw tokens.unexpected("a priority");
  }
  return base + Number(offset);
}

function readPolicy(tokens: Tokens): "accept" | "drop" {
  const policy = tokens.word("accept or drop");
  if (policy !== "accept" && policy !== "drop") throw tokens.unexpected("accept or drop");
  return policy;
}

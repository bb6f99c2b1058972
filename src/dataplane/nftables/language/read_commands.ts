/**
 * Commands of files for `nft -f`: what they make of the tables before them.
 *
 * @module
 */

import { chainOf, type RulesetBuilder, type TableBuilder } from "./builder.ts";
import type { Element, Value } from "./ast.ts";
import { valueText } from "./print_expressions.ts";
import { readSet, readSetElements } from "./read_set.ts";
import {
  contextOf,
  readChainBody,
  readFamily,
  readRule,
  readTableBody,
  readTableName,
  skipObject,
} from "./read_table.ts";
import type { Tokens } from "./tokens.ts";

/** Does what a command says. Throws NftTextError. */
export function readCommand(tokens: Tokens, ruleset: RulesetBuilder): void {
  const start = tokens.place;
  switch (tokens.word("a table or command")) {
    case "add":
    case "create":
      return readAddition(tokens, ruleset);
    case "insert":
      return readInsertion(tokens, ruleset);
    case "flush":
      return readFlush(tokens, ruleset);
    case "delete":
    case "destroy":
      return readDeletion(tokens, ruleset);
    default:
      tokens.backTo(start);
      throw tokens.unexpected("a table, or add, insert, delete or flush");
  }
}

function readAddition(tokens: Tokens, ruleset: RulesetBuilder): void {
  const start = tokens.place;
  switch (tokens.word("what to add")) {
    case "table": {
      const { family, name } = readTableName(tokens);
      const table = ruleset.table(family, name);
      if (tokens.is("{")) readTableBody(tokens, table);
      return;
    }
    case "chain": {
      const table = readExisting(tokens, ruleset);
      const chain = chainOf(table, tokens.quoted("a chain's name"));
      if (tokens.is("{")) readChainBody(tokens, table, chain);
      return;
    }
    case "rule": {
      const table = readExisting(tokens, ruleset);
      const chain = readChain(tokens, table);
      skipPosition(tokens);
      chain.rules.push(readRule(tokens, contextOf(table)));
      return;
    }
    case "set":
    case "map": {
      const table = readExisting(tokens, ruleset);
      const name = tokens.quoted("a set's name");
      const set = readSet(tokens, name);
      if (!table.sets.has(name)) table.sets.set(name, set);
      return;
    }
    case "element": {
      const table = readExisting(tokens, ruleset);
      const set = readKnownSet(tokens, table);
      const added = readSetElements(tokens, set);
      const elements = [...set.elements, ...added];
      table.sets.set(set.name, { ...set, elements });
      return;
    }
    default: {
      tokens.backTo(start);
      const word = tokens.word("what to add");
      const table = readExisting(tokens, ruleset);
      const body = tokens.place;
      skipObject(tokens);
      table.objects.push(`${word} ${tokens.since(body)}`);
    }
  }
}

function readInsertion(tokens: Tokens, ruleset: RulesetBuilder): void {
  tokens.expect("rule");
  const table = readExisting(tokens, ruleset);
  const chain = readChain(tokens, table);
  skipPosition(tokens);
  chain.rules.unshift(readRule(tokens, contextOf(table)));
}

/** Handles and indexes belong to rules of a node, which a file does not have. */
function skipPosition(tokens: Tokens): void {
  if (tokens.is("handle") || tokens.is("position") || tokens.is("index")) {
    throw tokens.unexpected("a rule without a position");
  }
}

function readFlush(tokens: Tokens, ruleset: RulesetBuilder): void {
  const start = tokens.place;
  switch (tokens.word("what to flush")) {
    case "ruleset":
      ruleset.remove(readFamily(tokens), null);
      return;
    case "table": {
      const { family, name } = readTableName(tokens);
      for (const chain of ruleset.find(family, name)?.chains.values() ?? []) chain.rules = [];
      return;
    }
    case "chain":
      readChain(tokens, readExisting(tokens, ruleset)).rules = [];
      return;
    case "set":
    case "map": {
      const table = readExisting(tokens, ruleset);
      const set = readKnownSet(tokens, table);
      table.sets.set(set.name, { ...set, elements: [] });
      return;
    }
    default:
      tokens.backTo(start);
      throw tokens.unexpected("a ruleset, table, chain, set or map");
  }
}

function readDeletion(tokens: Tokens, ruleset: RulesetBuilder): void {
  const start = tokens.place;
  switch (tokens.word("what to delete")) {
    case "table": {
      const { family, name } = readTableName(tokens);
      ruleset.remove(family, name);
      return;
    }
    case "chain": {
      const { chains } = readExisting(tokens, ruleset);
      chains.delete(tokens.quoted("a chain's name"));
      return;
    }
    case "set":
    case "map": {
      const { sets } = readExisting(tokens, ruleset);
      sets.delete(tokens.quoted("a set's name"));
      return;
    }
    case "element": {
      const table = readExisting(tokens, ruleset);
      const set = readKnownSet(tokens, table);
      const keys = new Set(readSetElements(tokens, set).map(({ key }) => keyText(key)));
      const elements = set.elements.filter(({ key }: Element) => !keys.has(keyText(key)));
      table.sets.set(set.name, { ...set, elements });
      return;
    }
    default:
      tokens.backTo(start);
      throw tokens.unexpected("a table, chain, set, map or element");
  }
}

const keyText = (key: Value) => valueText(key, []);

function readExisting(tokens: Tokens, ruleset: RulesetBuilder): TableBuilder {
  const start = tokens.place;
  const { family, name } = readTableName(tokens);
  const table = ruleset.find(family, name);
  if (table !== undefined) return table;
  tokens.backTo(start);
  throw tokens.unexpected("a table that was added before");
}

function readChain(tokens: Tokens, table: TableBuilder) {
  const start = tokens.place;
  const chain = table.chains.get(tokens.quoted("a chain's name"));
  if (chain !== undefined) return chain;
  tokens.backTo(start);
  throw tokens.unexpected("a chain that was added before");
}

function readKnownSet(tokens: Tokens, table: TableBuilder) {
  const start = tokens.place;
  const set = table.sets.get(tokens.quoted("a set's name"));
  if (set !== undefined) return set;
  tokens.backTo(start);
  throw tokens.unexpected("a set or map that was added before");
}

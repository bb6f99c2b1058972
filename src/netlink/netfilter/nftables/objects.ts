/**
 * Tables, chains, rules, sets and their elements: as data that one gives (…Spec) and as the kernel
 * tells them.
 *
 * @module
 */

import type { ValuesOf } from "../../attribute.ts";
import { malformed } from "../../error.ts";
import type { Message } from "../../message.ts";
import type { Data } from "./data.ts";
import type { Expression, StatefulExpression } from "./expression.ts";
import {
  CHAIN,
  type ELEMENT,
  ELEMENT_LIST,
  FAMILY,
  OBJECT,
  RULE,
  SET,
  TABLE,
  type TableFamily,
} from "./formats.ts";
import { commentOf, readSetUserData, type SetUserData } from "./userdata.ts";

/** Which table. */
export interface TableName {
  readonly family: TableFamily;
  readonly table: string;
}

/** What a table is made with. */
export interface TableSpec extends TableName {
  /** TABLE_FLAGS. */
  readonly flags?: number;
  readonly comment?: string;
}

/** A table of the kernel's. */
export interface Table extends TableSpec {
  readonly flags: number;
  /** Another one after each time that a table of this name is made. */
  readonly handle: number;
  /** How many chains, sets and objects it has. */
  readonly use: number;
}

/** Where a base chain stands. */
export interface Hook {
  /** NF_INET_*: prerouting 0, input 1, forward 2, output 3, postrouting 4; others by family. */
  readonly number: number;
  /** Lowest first. */
  readonly priority: number;
  /** "filter", "nat" or "route". */
  readonly type: string;
  readonly policy: "accept" | "drop";
  /** The links that the chain is for, where its family wants some. */
  readonly devices?: readonly string[];
}

/** Which chain. */
export interface ChainName extends TableName {
  readonly chain: string;
}

/** What a chain is made with; without a hook it is for jumps to it. */
export interface ChainSpec extends ChainName {
  readonly hook?: Hook;
  readonly comment?: string;
}

/** A chain of the kernel's. */
export interface Chain extends ChainSpec {
  readonly handle: number;
  /** How many rules are in it or lead to it. */
  readonly use: number;
}

/** What a rule is made with. */
export interface RuleSpec extends ChainName {
  readonly expressions: readonly Expression[];
  readonly comment?: string;
}

/** A rule of the kernel's. */
export interface Rule extends RuleSpec {
  readonly handle: number;
}

/** Which set. */
export interface SetName extends TableName {
  readonly set: string;
}

/** What a set or map is made with. */
export interface SetSpec extends SetName {
  /** SET_FLAGS. */
  readonly flags: number;
  /** A number for nft (datatypes.ts). */
  readonly keyType: number;
  /** Bytes. */
  readonly keySize: number;
  /** Of maps; VERDICT_TYPE: elements lead to verdicts. */
  readonly dataType?: number;
  readonly dataSize?: number;
  /** Of maps to objects: an OBJECT_TYPES. */
  readonly objectType?: ValuesOf<typeof SET.attributes>["objectType"];
  /** Most elements. */
  readonly size?: number;
  /** The parts of a concatenation of intervals, bytes without padding. */
  readonly fields?: readonly number[];
  /** Milliseconds that elements last unless they say otherwise. */
  readonly timeout?: number;
  /** Milliseconds. */
  readonly gcInterval?: number;
  /** NFT_SET_POL_MEMORY is 1. */
  readonly policy?: number;
  /** What each element of a dynamic set gets. */
  readonly expressions?: readonly StatefulExpression[];
  /** What nft keeps with the set, its comment among it. */
  readonly userData?: SetUserData;
}

/** A set or map of the kernel's. */
export interface NamedSet extends SetSpec {
  readonly handle: number;
}

/** An element of a set or map. */
export interface SetElement {
  /** Absent for the one that stands for all others (ELEMENT_FLAGS.catchAll). */
  readonly key?: Uint8Array;
  /** The end, which belongs to it, of an interval in a set of concatenations. */
  readonly keyEnd?: Uint8Array;
  readonly data?: Data;
  /** The object that a map to objects leads to. */
  readonly object?: string;
  /** ELEMENT_FLAGS. */
  readonly flags?: number;
  /** Milliseconds that it lasts, where not as the set says. */
  readonly timeout?: number;
  /** Milliseconds that it still lasts. */
  readonly expiration?: number;
  readonly comment?: string;
  readonly expressions?: readonly StatefulExpression[];
}

/** A counter, quota or the like that has a name. */
export interface NamedObject extends TableName {
  readonly name: string;
  readonly type: ValuesOf<typeof OBJECT.attributes>["type"];
  readonly handle: number;
  /** The kernel's attributes of that type. */
  readonly data: Uint8Array;
  readonly comment?: string;
}

/** Whether all of a table's names that are alike are alike. */
export function sameTable(a: TableName, b: TableName): boolean {
  return a.family === b.family && a.table === b.table;
}

const FAMILY_NAMES = new Map<number, TableFamily>(
  Object.entries(FAMILY).map(([name, number]) => [number, name as TableFamily]),
);

function familyOf(number: number): TableFamily {
  const family = FAMILY_NAMES.get(number);
  if (family === undefined) throw malformed(`a table of nf_tables of family ${number}`);
  return family;
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw malformed(`nf_tables told ${what}`);
  return value;
}

/** Leaves out what has no value. */
function present<T extends object>(values: T): T {
  const kept: Partial<T> = {};
  for (const key of Object.keys(values) as (keyof T)[]) {
    if (values[key] !== undefined) kept[key] = values[key];
  }
  return kept as T;
}

/** The table that a message of NFT_MSG_NEWTABLE tells. */
export function readTable({ payload }: Message): Table {
  const { header, attributes: { name, flags = 0, handle = 0, use = 0, userData } } = TABLE.decode(
    payload,
  );
  return present({
    family: familyOf(header.family),
    table: required(name, "a table without a name"),
    flags,
    handle,
    use,
    comment: commentOf(userData),
  });
}

/** The chain that a message of NFT_MSG_NEWCHAIN tells. */
export function readChain({ payload }: Message): Chain {
  const { header, attributes } = CHAIN.decode(payload);
  const { hook, type, policy } = attributes;
  return present({
    family: familyOf(header.family),
    table: required(attributes.table, "a chain without a table"),
    chain: required(attributes.name, "a chain without a name"),
    hook: hook && present({
      number: required(hook.number, "a base chain without a hook"),
      priority: hook.priority ?? 0,
      type: type ?? "filter",
      policy: policy === 0 ? "drop" as const : "accept" as const,
      devices: hook.devices?.names ?? (hook.device === undefined ? undefined : [hook.device]),
    }),
    handle: attributes.handle ?? 0,
    use: attributes.use ?? 0,
    comment: commentOf(attributes.userData),
  });
}

/** The rule that a message of NFT_MSG_NEWRULE tells. */
export function readRule({ payload }: Message): Rule {
  const { header, attributes } = RULE.decode(payload);
  const rule = {
    family: familyOf(header.family),
    table: required(attributes.table, "a rule without a table"),
    chain: required(attributes.chain, "a rule without a chain"),
    handle: attributes.handle ?? 0,
    expressions: attributes.expressions ?? [],
  };
  const comment = commentOf(attributes.userData);
  return comment === undefined ? rule : { ...rule, comment };
}

/** The set that a message of NFT_MSG_NEWSET tells. */
export function readSet({ payload }: Message): NamedSet {
  const { header, attributes } = SET.decode(payload);
  const { table, name, description, expression, userData } = attributes;
  return present({
    family: familyOf(header.family),
    table: required(table, "a set without a table"),
    set: required(name, "a set without a name"),
    flags: attributes.flags ?? 0,
    keyType: attributes.keyType ?? 0,
    keySize: attributes.keySize ?? 0,
    dataType: attributes.dataType,
    dataSize: attributes.dataSize,
    objectType: attributes.objectType,
    size: description?.size,
    fields: description?.fields?.each?.map(({ size }) => size ?? 0),
    timeout: attributes.timeout,
    gcInterval: attributes.gcInterval,
    policy: attributes.policy,
    expressions: attributes.expressions ?? (expression && [expression]),
    userData: userData && readSetUserData(userData),
    handle: attributes.handle ?? 0,
  });
}

/** The elements that a message of NFT_MSG_NEWSETELEM tells. */
export function readElements({ payload }: Message): SetElement[] {
  return (ELEMENT_LIST.decode(payload).attributes.elements?.each ?? []).map(readElement);
}

function readElement(values: ValuesOf<typeof ELEMENT>): SetElement {
  const { userData, expression, expressions, ...rest } = values;
  const comment = commentOf(userData);
  const list = expressions ?? (expression && [expression]);
  return {
    ...rest,
    ...(comment === undefined ? {} : { comment }),
    ...(list === undefined ? {} : { expressions: list }),
  };
}

/** The object that a message of NFT_MSG_NEWOBJ tells. */
export function readObject({ payload }: Message): NamedObject {
  const { header, attributes } = OBJECT.decode(payload);
  return present({
    family: familyOf(header.family),
    table: required(attributes.table, "an object without a table"),
    name: required(attributes.name, "an object without a name"),
    type: attributes.type ?? 0,
    handle: attributes.handle ?? 0,
    data: attributes.data ?? new Uint8Array(),
    comment: commentOf(attributes.userData),
  });
}

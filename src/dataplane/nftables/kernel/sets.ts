/**
 * Named sets and maps as the kernel has them, and back.
 *
 * @module
 */

import {
  type DataType,
  keyLayout,
  typesOf,
  VERDICT_TYPE,
} from "../../../netlink/netfilter/nftables/datatypes.ts";
import { SET_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type { FilledSet } from "../../../netlink/netfilter/nftables/nftables.ts";
import type { SetSpec } from "../../../netlink/netfilter/nftables/objects.ts";
import { NO_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import type { NamedSet } from "../language/ast.ts";
import type { SetDeclaration } from "../transaction.ts";
import { dataTypes } from "./decompile_rule.ts";
import { decompileElements, type ElementTypes, statefulStatement } from "./elements.ts";
import { compileStateful } from "./elements.ts";
import { CompileError, typeNamed } from "./values.ts";

/** NFT_SET_POL_MEMORY. */
const MEMORY = 1;

/** Flags by nft's names, in its order. */
const FLAGS = {
  constant: SET_FLAGS.constant,
  dynamic: SET_FLAGS.eval,
  interval: SET_FLAGS.interval,
  timeout: SET_FLAGS.timeout,
} as const;

/** How a declared set's elements look. Throws CompileError on types that are not known. */
export function elementTypes({ key, data, flags }: SetDeclaration): ElementTypes {
  return {
    key: key.map(typeNamed),
    data: data === null ? null : data.includes("verdict") ? "verdict" : data.map(typeNamed),
    interval: flags.includes("interval"),
  };
}

/** What the kernel is to make for a declaration. Throws CompileError. */
export function compileSet(
  set: SetDeclaration,
  place: { readonly family: "ip" | "ip6"; readonly table: string },
): SetSpec {
  if (set.typeof !== null) throw new CompileError(`set ${set.name} is declared by typeof`);
  const { key, data, interval } = elementTypes(set);
  const concatenated = interval && key.length > 1;
  const layout = keyLayout(key);
  const dataLayout = data === null || data === "verdict" ? null : keyLayout(data);
  return {
    ...place,
    set: set.name,
    flags: set.flags.reduce((bits, flag) => bits | flagBit(flag), 0) |
      (data === null ? 0 : SET_FLAGS.map) | (concatenated ? SET_FLAGS.concat : 0) |
      (set.timeout === null ? 0 : SET_FLAGS.timeout) |
      (set.statements.length === 0 ? 0 : SET_FLAGS.expressions),
    keyType: layout.id,
    keySize: layout.size,
    ...(data === "verdict" ? { dataType: VERDICT_TYPE } : {}),
    ...(dataLayout === null ? {} : { dataType: dataLayout.id, dataSize: dataLayout.size }),
    ...(set.size === null ? {} : { size: set.size }),
    ...(concatenated ? { fields: key.map(({ size }) => size) } : {}),
    ...(set.timeout === null ? {} : { timeout: set.timeout }),
    ...(set.gcInterval === null ? {} : { gcInterval: set.gcInterval }),
    ...(set.policy === "memory" ? { policy: MEMORY } : {}),
    ...(set.statements.length === 0 ? {} : { expressions: set.statements.map(compileStateful) }),
    userData: {
      keyByteOrder: layout.byteOrder,
      ...(data === null ? {} : { dataByteOrder: dataLayout?.byteOrder ?? NO_ORDER }),
      ...(set.autoMerge ? { mergeElements: 1 } : {}),
      ...(set.comment === null ? {} : { comment: set.comment }),
    },
  };
}

function flagBit(flag: string): number {
  const bit = (FLAGS as Readonly<Record<string, number>>)[flag];
  if (bit === undefined) throw new CompileError(`${flag} is no flag of a set`);
  return bit;
}

/**
 * A set of the kernel's in the language. Of one whose types are not known, the types are named by
 * number and the elements left out.
 */
export function decompileSet(set: FilledSet): NamedSet {
  const { flags, userData, keyType, dataType: dataId } = set;
  const key = typesOf(keyType);
  const data = dataTypes(set);
  const interval = (flags & SET_FLAGS.interval) !== 0;
  const isMap = (flags & SET_FLAGS.map) !== 0;
  return {
    name: set.set,
    key: key === null ? [`type ${keyType}`] : names(key),
    data: !isMap
      ? null
      : data === "verdict"
      ? ["verdict"]
      : data === null
      ? [`type ${dataId}`]
      : names(data),
    typeof: null,
    flags: Object.entries(FLAGS).filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name),
    timeout: set.timeout ?? null,
    gcInterval: set.gcInterval ?? null,
    size: set.size ?? null,
    policy: set.policy === MEMORY ? "memory" : null,
    autoMerge: (userData?.mergeElements ?? 0) !== 0,
    statements: (set.expressions ?? []).map(statefulStatement),
    comment: userData?.comment ?? null,
    handle: set.handle,
    elements: key === null || isMap && data === null
      ? []
      : decompileElements(set.elements, { key, data, interval }, set),
  };
}

function names(types: readonly DataType[]): string[] {
  return types.map(({ name }) => name);
}

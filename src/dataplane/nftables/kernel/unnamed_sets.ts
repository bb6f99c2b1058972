/**
 * Sets without a name of their own that a rule looks into, as the kernel has them.
 *
 * @module
 */

import {
  type DataType,
  keyLayout,
  VERDICT_TYPE,
} from "../../../netlink/netfilter/nftables/datatypes.ts";
import { SET_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type { SetElement, SetName, SetSpec } from "../../../netlink/netfilter/nftables/objects.ts";
import { HOST_ORDER, NO_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import type { AnonymousSet } from "../language/ast.ts";
import { compileElements, type ElementTypes, isInterval, leadingElement } from "./elements.ts";
import { CompileError } from "./values.ts";

/** A set and what is in it. */
export interface UnnamedSet {
  readonly set: SetSpec;
  readonly elements: readonly SetElement[];
}

/** The set under the name that the kernel has for it. Throws CompileError. */
export function unnamedSet(
  { elements: values }: AnonymousSet,
  name: SetName,
  key: readonly DataType[],
  data: ElementTypes["data"],
): UnnamedSet {
  const interval = values.some(({ key }) => isInterval(key));
  const concatenated = key.length > 1;
  const layout = keyLayout(key);
  if (interval && !concatenated && layout.byteOrder === HOST_ORDER) {
    throw new CompileError(`intervals of ${key[0].name}, which the kernel cannot order`);
  }
  const compiled = compileElements(values, { key, data, interval });
  const elements = interval && !concatenated
    ? [...leadingElement(compiled), ...compiled]
    : compiled;
  const dataLayout = data === null || data === "verdict" ? null : keyLayout(data);
  const set: SetSpec = {
    ...name,
    flags: SET_FLAGS.anonymous | SET_FLAGS.constant | (data === null ? 0 : SET_FLAGS.map) |
      (interval ? SET_FLAGS.interval | (concatenated ? SET_FLAGS.concat : 0) : 0),
    keyType: layout.id,
    keySize: layout.size,
    ...(data === "verdict" ? { dataType: VERDICT_TYPE } : {}),
    ...(dataLayout === null ? {} : { dataType: dataLayout.id, dataSize: dataLayout.size }),
    size: elements.length,
    ...(interval && concatenated ? { fields: key.map(({ size }) => size) } : {}),
    userData: {
      keyByteOrder: layout.byteOrder,
      ...(data === null ? {} : { dataByteOrder: dataLayout?.byteOrder ?? NO_ORDER }),
    },
  };
  return { set, elements };
}

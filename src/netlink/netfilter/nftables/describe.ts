/**
 * What a batch's messages ask for, in one line, for errors.
 *
 * @module
 */

import { rawAttributes } from "../../attribute.ts";
import type { Locator } from "../../format.ts";
import { NLM_F_APPEND, NLM_F_REPLACE } from "../../message.ts";
import { CHAIN, ELEMENT_LIST, FAMILY, MESSAGE, RULE, SET, TABLE } from "./formats.ts";

const FAMILY_NAMES = new Map<number, string>(
  Object.entries(FAMILY).map(([name, number]) => [number, name]),
);

/** What a message asks for, and what names its parts. */
export function describeMessage(
  type: number,
  flags: number,
  payload: Uint8Array,
): { readonly what: string; readonly format: Locator } {
  switch (type) {
    case MESSAGE.newTable:
    case MESSAGE.deleteTable: {
      const { header, attributes } = TABLE.decode(payload);
      const verb = type === MESSAGE.newTable ? "add" : "delete";
      return { what: `${verb} table ${family(header)} ${attributes.name}`, format: TABLE };
    }
    case MESSAGE.newChain:
    case MESSAGE.deleteChain: {
      const { header, attributes } = CHAIN.decode(payload);
      const verb = type === MESSAGE.newChain ? "add" : "delete";
      const what = `${verb} chain ${attributes.name} of ${table(header, attributes)}`;
      return { what, format: CHAIN };
    }
    case MESSAGE.newRule: {
      const { header, attributes: { chain, handle, ...rest } } = RULE.decode(payload);
      const verb = (flags & NLM_F_REPLACE) !== 0
        ? `replace rule ${handle}`
        : (flags & NLM_F_APPEND) !== 0
        ? "append rule"
        : "insert rule";
      return { what: `${verb} of chain ${chain} of ${table(header, rest)}`, format: RULE };
    }
    case MESSAGE.deleteRule: {
      const { header, attributes: { chain, handle, ...rest } } = RULE.decode(payload);
      const what = handle !== undefined
        ? `delete rule ${handle} of chain ${chain} of ${table(header, rest)}`
        : `flush ${chain === undefined ? "" : `chain ${chain} of `}${table(header, rest)}`;
      return { what, format: RULE };
    }
    case MESSAGE.newSet:
    case MESSAGE.deleteSet: {
      const { header, attributes } = SET.decode(payload);
      const verb = type === MESSAGE.newSet ? "add" : "delete";
      return {
        what: `${verb} set ${attributes.name} of ${table(header, attributes)}`,
        format: SET,
      };
    }
    case MESSAGE.newElements:
    case MESSAGE.deleteElements: {
      const { header, attributes } = ELEMENT_LIST.decode(payload);
      const verb = type === MESSAGE.newElements
        ? "add elements of"
        : attributes.elements === undefined
        ? "flush"
        : "delete elements of";
      const what = `${verb} set ${attributes.set} of ${table(header, attributes)}`;
      return { what, format: ELEMENT_LOCATOR };
    }
    default:
      return { what: `message ${type} of nf_tables`, format: TABLE };
  }
}

interface Header {
  readonly family: number;
}

function family(header: Header): string {
  return FAMILY_NAMES.get(header.family) ?? String(header.family);
}

function table(header: Header, { table }: { readonly table?: string }): string {
  return `table ${family(header)} ${table}`;
}

/** NFTA_SET_ELEM_LIST_ELEMENTS. */
const ELEMENTS = 3;

/** Which of a message's elements is meant, from 0. */
const ELEMENT_LOCATOR: Locator = {
  locate(payload, offset) {
    const attributesStart = ELEMENT_LIST.headerSize;
    for (const attribute of rawAttributes(payload.subarray(attributesStart))) {
      const start = attributesStart + attribute.offset + 4;
      if (attribute.id !== ELEMENTS || offset < start) continue;
      let number = -1;
      for (const element of rawAttributes(attribute.payload)) {
        if (start + element.offset > offset) break;
        number++;
      }
      return `element ${number} of the message`;
    }
    return ELEMENT_LIST.locate(payload, offset);
  },
};

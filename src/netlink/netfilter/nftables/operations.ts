/**
 * What a batch does, as plain data, and the messages that say it.
 *
 * @module
 */

import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../message.ts";
import type { Writer } from "../../writer.ts";
import { CHAIN, ELEMENT_LIST, FAMILY, MESSAGE, RULE, SET, TABLE } from "./formats.ts";
import type {
  ChainName,
  ChainSpec,
  RuleSpec,
  SetElement,
  SetName,
  SetSpec,
  TableName,
  TableSpec,
} from "./objects.ts";
import { CHAIN_FLAGS } from "./names.ts";
import { commentUserData, setUserData } from "./userdata.ts";

/** Whether it must not be there yet (EEXIST); else one that is there stays as it is. */
interface Exclusive {
  readonly exclusive?: boolean;
}

/** One step of a batch. */
export type Operation =
  | { readonly kind: "add table"; readonly table: TableSpec } & Exclusive
  | { readonly kind: "delete table"; readonly table: TableName }
  | { readonly kind: "add chain"; readonly chain: ChainSpec } & Exclusive
  | { readonly kind: "delete chain"; readonly chain: ChainName }
  /** Deletes all rules of a chain, or without `chain` of a table. */
  | { readonly kind: "flush"; readonly chain: TableName & { readonly chain?: string } }
  /** At the end of its chain, or right behind the rule `after`. */
  | { readonly kind: "append rule"; readonly rule: RuleSpec; readonly after?: number }
  /** At the start of its chain, or right before the rule `before`. */
  | { readonly kind: "insert rule"; readonly rule: RuleSpec; readonly before?: number }
  | { readonly kind: "replace rule"; readonly rule: RuleSpec; readonly handle: number }
  | { readonly kind: "delete rule"; readonly rule: ChainName; readonly handle: number }
  | { readonly kind: "add set"; readonly set: SetSpec; readonly id?: number } & Exclusive
  | { readonly kind: "delete set"; readonly set: SetName }
  | {
    readonly kind: "add elements";
    readonly set: SetName;
    readonly elements: readonly SetElement[];
    /** The number of a set that this batch makes. */
    readonly setId?: number;
  } & Exclusive
  | {
    readonly kind: "delete elements";
    readonly set: SetName;
    readonly elements: readonly SetElement[];
  }
  | { readonly kind: "flush set"; readonly set: SetName };

/** Where the messages of a batch are written. */
export interface MessageSink {
  /** Starts a message and returns what to write its payload to. */
  begin(type: number, flags: number): Writer;
  end(): void;
}

/** Bytes of elements in one message; a nest has less than 65536. */
const CHUNK_BYTES = 48_000;

/** Writes the messages that carry out an operation; `id` numbers the sets that it makes. */
export function writeOperation(operation: Operation, sink: MessageSink, id: number): void {
  switch (operation.kind) {
    case "add table":
      return writeTable(operation.table, MESSAGE.newTable, created(operation), sink);
    case "delete table":
      return writeTable(operation.table, MESSAGE.deleteTable, 0, sink);
    case "add chain":
      return writeChain(operation.chain, MESSAGE.newChain, created(operation), sink);
    case "delete chain":
      return writeChain(operation.chain, MESSAGE.deleteChain, 0, sink);
    case "flush":
      return writeRule(operation.chain, {}, MESSAGE.deleteRule, 0, sink);
    case "append rule":
      return writeRule(
        operation.rule,
        { position: operation.after },
        MESSAGE.newRule,
        NLM_F_CREATE | NLM_F_APPEND,
        sink,
      );
    case "insert rule":
      return writeRule(
        operation.rule,
        { position: operation.before },
        MESSAGE.newRule,
        NLM_F_CREATE,
        sink,
      );
    case "replace rule":
      return writeRule(
        operation.rule,
        { handle: operation.handle },
        MESSAGE.newRule,
        NLM_F_REPLACE,
        sink,
      );
    case "delete rule":
      return writeRule(
        operation.rule,
        { handle: operation.handle },
        MESSAGE.deleteRule,
        0,
        sink,
      );
    case "add set":
      return writeSet(operation.set, operation.id ?? id, created(operation), sink);
    case "delete set":
      return writeSetName(operation.set, MESSAGE.deleteSet, sink);
    case "add elements":
      return writeElements(operation, MESSAGE.newElements, created(operation), sink);
    case "delete elements":
      return writeElements(operation, MESSAGE.deleteElements, 0, sink);
    case "flush set":
      return writeSetName(operation.set, MESSAGE.deleteElements, sink);
  }
}

function created({ exclusive = false }: Exclusive): number {
  return NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0);
}

function writeTable(table: TableSpec, type: number, flags: number, sink: MessageSink): void {
  TABLE.write(sink.begin(type, flags), {
    header: { family: FAMILY[table.family] },
    attributes: {
      name: table.table,
      flags: type === MESSAGE.newTable ? table.flags ?? 0 : undefined,
      userData: commentUserData(table.comment),
    },
  });
  sink.end();
}

function writeChain(chain: ChainSpec, type: number, flags: number, sink: MessageSink): void {
  const { hook } = chain;
  CHAIN.write(sink.begin(type, flags), {
    header: { family: FAMILY[chain.family] },
    attributes: {
      table: chain.table,
      name: chain.chain,
      hook: hook && {
        number: hook.number,
        priority: hook.priority,
        devices: hook.devices?.length ? { names: hook.devices } : undefined,
      },
      policy: hook && (hook.policy === "drop" ? 0 : 1),
      type: hook?.type,
      flags: hook && CHAIN_FLAGS.base,
      userData: commentUserData(chain.comment),
    },
  });
  sink.end();
}

function writeRule(
  rule: TableName & Partial<RuleSpec>,
  place: { readonly handle?: number; readonly position?: number },
  type: number,
  flags: number,
  sink: MessageSink,
): void {
  RULE.write(sink.begin(type, flags), {
    header: { family: FAMILY[rule.family] },
    attributes: {
      table: rule.table,
      chain: rule.chain,
      ...place,
      expressions: type === MESSAGE.newRule ? rule.expressions : undefined,
      userData: commentUserData(rule.comment),
    },
  });
  sink.end();
}

function writeSet(set: SetSpec, id: number, flags: number, sink: MessageSink): void {
  const { size, fields } = set;
  SET.write(sink.begin(MESSAGE.newSet, flags), {
    header: { family: FAMILY[set.family] },
    attributes: {
      table: set.table,
      name: set.set,
      flags: set.flags,
      keyType: set.keyType,
      keySize: set.keySize,
      dataType: set.dataType,
      dataSize: set.dataSize,
      objectType: set.objectType,
      policy: set.policy,
      description: size === undefined && fields === undefined ? undefined : {
        size,
        fields: fields && { each: fields.map((size) => ({ size })) },
      },
      id,
      timeout: set.timeout,
      gcInterval: set.gcInterval,
      expression: set.expressions?.length === 1 ? set.expressions[0] : undefined,
      expressions: (set.expressions?.length ?? 0) > 1 ? set.expressions : undefined,
      userData: set.userData && setUserData(set.userData),
    },
  });
  sink.end();
}

function writeSetName(set: SetName, type: number, sink: MessageSink): void {
  const header = { family: FAMILY[set.family] };
  const out = sink.begin(type, 0);
  if (type === MESSAGE.deleteSet) {
    SET.write(out, { header, attributes: { table: set.table, name: set.set } });
  } else {
    ELEMENT_LIST.write(out, { header, attributes: { table: set.table, set: set.set } });
  }
  sink.end();
}

function writeElements(
  { set, elements, ...rest }: Extract<Operation, { elements: unknown }>,
  type: number,
  flags: number,
  sink: MessageSink,
): void {
  for (let start = 0, end = 0; start < elements.length; start = end) {
    for (let bytes = 0; end < elements.length; end++) {
      bytes += elementBytes(elements[end]);
      if (bytes > CHUNK_BYTES && end > start) break;
    }
    ELEMENT_LIST.write(sink.begin(type, flags), {
      header: { family: FAMILY[set.family] },
      attributes: {
        table: set.table,
        set: set.set,
        setId: "setId" in rest ? rest.setId : undefined,
        elements: { each: elements.slice(start, end).map(elementAttributes) },
      },
    });
    sink.end();
  }
}

/** Bytes that an element takes at most. */
function elementBytes({ key, keyEnd, data, comment, object, expressions }: SetElement): number {
  const { value, verdict } = data ?? {};
  // UTF-8 takes at most three bytes for a unit of UTF-16.
  return 96 + (key?.length ?? 0) + (keyEnd?.length ?? 0) + (value?.length ?? 0) +
    3 * ((verdict?.chain?.length ?? 0) + (comment?.length ?? 0) + (object?.length ?? 0)) +
    256 * (expressions?.length ?? 0);
}

function elementAttributes({ comment, expressions, ...rest }: SetElement) {
  return {
    ...rest,
    userData: commentUserData(comment),
    expression: expressions?.length === 1 ? expressions[0] : undefined,
    expressions: (expressions?.length ?? 0) > 1 ? expressions : undefined,
  };
}

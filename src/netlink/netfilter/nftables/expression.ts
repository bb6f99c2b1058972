/**
 * Expressions, of which rules are made, as plain data: each has its kind, the kernel's name of it,
 * and the kernel's attributes of that kind. Registers are numbered as the kernel does: 0 holds the
 * verdict, 1 to 4 are 16 bytes wide, 8 to 23 the same space by 4 bytes. Source: linux/netfilter/
 * nf_tables.h (NFTA_EXPR_*, NFTA_PAYLOAD_*, …).
 *
 * An expression of a kind or with an attribute that is not known here stays as name and bytes, so
 * that nothing is taken for what it is not.
 *
 * @module
 */

import {
  attributes,
  type AttributeSet,
  type Description,
  nested,
  rawAttributes,
  repeated,
  type ValuesOf,
} from "../../attribute.ts";
import { be16, be32, type Codec, NLA_F_NESTED, u8 } from "../../codec.ts";
import { malformed } from "../../error.ts";
import { count, name, oneOf } from "./codecs.ts";
import { data, value } from "./data.ts";
import {
  BITWISE_OPERATORS,
  BYTEORDERS,
  COMPARISONS,
  CT_KEYS,
  DYNSET_OPERATORS,
  FIB_RESULTS,
  HASH_TYPES,
  LIMIT_TYPES,
  META_KEYS,
  NAT_TYPES,
  NUMGEN_TYPES,
  OBJECT_TYPES,
  PAYLOAD_BASES,
  RANGE_OPERATORS,
  REJECT_TYPES,
} from "./names.ts";

/** An expression that is not known here. */
export interface UnknownExpression {
  readonly kind: "unknown";
  readonly name: string;
  /** The kernel's attributes; null if it has none. */
  readonly data: Uint8Array | null;
}

type Formats = Readonly<Record<string, AttributeSet<Description>>>;
type Known<F extends Formats> = {
  readonly [K in keyof F & string]: { readonly kind: K } & ValuesOf<F[K]>;
}[keyof F & string];

/** *_PAD of the kinds that have numbers of 64 bits: filling, where a machine needs it. */
const PADDING: Readonly<Record<string, number>> = { counter: 3, limit: 6, quota: 3, dynset: 8 };

/** What elements of sets can have too, as it keeps a state of its own. */
const STATEFUL = {
  counter: attributes({ bytes: [1, count], packets: [2, count] }),
  limit: attributes({
    rate: [1, count],
    /** Seconds. */
    unit: [2, count],
    burst: [3, be32],
    type: [4, oneOf(be32, LIMIT_TYPES)],
    flags: [5, be32],
  }),
  quota: attributes({ bytes: [1, count], flags: [2, be32], consumed: [4, count] }),
  connlimit: attributes({ count: [1, be32], flags: [2, be32] }),
} as const;

/** A counter, limit or the like. */
export type StatefulExpression = Known<typeof STATEFUL> | UnknownExpression;

/** The codec of NFTA_EXPR_* with one of {@link STATEFUL}. */
export const statefulExpression: Codec<StatefulExpression> = expressionCodec(STATEFUL);

/** NFTA_LIST_*: several expressions. */
const STATEFUL_LIST = attributes({ each: [1, repeated(statefulExpression)] });

/** The codec of a list of stateful expressions. */
export const statefulList: Codec<readonly StatefulExpression[]> = {
  ...nested(STATEFUL_LIST),
  write: (out, each) => STATEFUL_LIST.write(out, { each }),
  read: (payload) => STATEFUL_LIST.read(payload).each ?? [],
};

const KNOWN = {
  ...STATEFUL,
  payload: attributes({
    dreg: [1, be32],
    base: [2, oneOf(be32, PAYLOAD_BASES)],
    /** Bytes. */
    offset: [3, be32],
    length: [4, be32],
    sreg: [5, be32],
    checksumType: [6, be32],
    checksumOffset: [7, be32],
    checksumFlags: [8, be32],
  }),
  meta: attributes({ dreg: [1, be32], key: [2, oneOf(be32, META_KEYS)], sreg: [3, be32] }),
  ct: attributes({
    dreg: [1, be32],
    key: [2, oneOf(be32, CT_KEYS)],
    direction: [3, oneOf(u8, ["original", "reply"])],
    sreg: [4, be32],
  }),
  fib: attributes({ dreg: [1, be32], result: [2, oneOf(be32, FIB_RESULTS)], flags: [3, be32] }),
  numgen: attributes({
    dreg: [1, be32],
    modulus: [2, be32],
    type: [3, oneOf(be32, NUMGEN_TYPES)],
    offset: [4, be32],
  }),
  hash: attributes({
    sreg: [1, be32],
    dreg: [2, be32],
    length: [3, be32],
    modulus: [4, be32],
    seed: [5, be32],
    offset: [6, be32],
    type: [7, oneOf(be32, HASH_TYPES)],
  }),
  immediate: attributes({ dreg: [1, be32], data: [2, data] }),
  cmp: attributes({ sreg: [1, be32], op: [2, oneOf(be32, COMPARISONS)], data: [3, value] }),
  range: attributes({
    sreg: [1, be32],
    op: [2, oneOf(be32, RANGE_OPERATORS)],
    from: [3, value],
    to: [4, value],
  }),
  bitwise: attributes({
    sreg: [1, be32],
    dreg: [2, be32],
    length: [3, be32],
    mask: [4, value],
    xor: [5, value],
    op: [6, oneOf(be32, BITWISE_OPERATORS)],
    data: [7, value],
    sreg2: [8, be32],
  }),
  byteorder: attributes({
    sreg: [1, be32],
    dreg: [2, be32],
    op: [3, oneOf(be32, BYTEORDERS)],
    length: [4, be32],
    size: [5, be32],
  }),
  lookup: attributes({
    set: [1, name],
    sreg: [2, be32],
    dreg: [3, be32],
    /** The number of the set within the batch; what the kernel tells is without meaning. */
    setId: [4, be32],
    flags: [5, be32],
  }),
  dynset: attributes({
    set: [1, name],
    setId: [2, be32],
    op: [3, oneOf(be32, DYNSET_OPERATORS)],
    keyReg: [4, be32],
    dataReg: [5, be32],
    /** Milliseconds. */
    timeout: [6, count],
    expression: [7, statefulExpression],
    flags: [9, be32],
    expressions: [10, statefulList],
  }),
  nat: attributes({
    type: [1, oneOf(be32, NAT_TYPES)],
    family: [2, be32],
    addressMin: [3, be32],
    addressMax: [4, be32],
    portMin: [5, be32],
    portMax: [6, be32],
    flags: [7, be32],
  }),
  masq: attributes({ flags: [1, be32], portMin: [2, be32], portMax: [3, be32] }),
  redir: attributes({ portMin: [1, be32], portMax: [2, be32], flags: [3, be32] }),
  reject: attributes({ type: [1, oneOf(be32, REJECT_TYPES)], code: [2, u8] }),
  log: attributes({
    group: [1, be16],
    prefix: [2, name],
    snapLength: [3, be32],
    queueThreshold: [4, be16],
    level: [5, be32],
    flags: [6, be32],
  }),
  objref: attributes({
    type: [1, oneOf(be32, OBJECT_TYPES)],
    name: [2, name],
    keyReg: [3, be32],
    set: [4, name],
    setId: [5, be32],
  }),
  queue: attributes({ number: [1, be16], total: [2, be16], flags: [3, be16], reg: [4, be32] }),
  notrack: attributes({}),
} as const;

/** An expression of a rule. */
export type Expression = Known<typeof KNOWN> | UnknownExpression;

/** The expressions of one kind. */
export type ExpressionOf<K extends Expression["kind"]> = Extract<Expression, { kind: K }>;

/** The codec of NFTA_EXPR_*. */
export const expression: Codec<Expression> = expressionCodec(KNOWN);

/** NFTA_LIST_*: the expressions of a rule. */
const LIST = attributes({ each: [1, repeated(expression)] });

/** The codec of a rule's expressions. */
export const expressionList: Codec<readonly Expression[]> = {
  ...nested(LIST),
  write: (out, each) => LIST.write(out, { each }),
  read: (payload) => LIST.read(payload).each ?? [],
};

function expressionCodec<F extends Formats>(
  formats: F,
): Codec<Known<F> | UnknownExpression> {
  const known = new Map(Object.entries(formats));
  const bare = (payload: Uint8Array) => payload;
  // NFTA_EXPR_*; the data of what is not known are kept, so they are written without a format.
  const forms = attributes({
    name: [1, name],
    data: [2, {
      flags: NLA_F_NESTED,
      write(out, { kind, ...values }: { kind: string; data?: unknown }) {
        if (kind === "unknown") out.bytes(values.data as Uint8Array);
        else formats[kind].write(out, values as Record<string, never>);
      },
      read: bare as never,
    }],
  });
  return {
    flags: NLA_F_NESTED,
    write(out, value) {
      if (value.kind === "unknown") {
        const { name, data } = value as UnknownExpression;
        forms.write(out, { name, data: data === null ? undefined : { kind: "unknown", data } });
      } else {
        forms.write(out, { name: value.kind, data: value });
      }
    },
    read(payload) {
      const { name, data: found } = forms.read(payload);
      const data = found as Uint8Array | undefined;
      if (name === undefined) throw malformed("an expression of nf_tables without a name");
      const format = known.get(name);
      const values = { kind: name };
      if (format !== undefined && (data === undefined || isRead(name, format, values, data))) {
        return values as Known<F>;
      }
      return { kind: "unknown", name, data: data?.slice() ?? null };
    },
  };
}

/** Whether all that the kernel says of an expression is known, or only fills. */
function isRead(
  name: string,
  format: AttributeSet<Description>,
  values: Record<string, unknown>,
  data: Uint8Array,
): boolean {
  if (format.readInto(values, data)) return true;
  const ids = Object.values(format.description).map(([id]) => id);
  return rawAttributes(data).every(({ id }) => id === PADDING[name] || ids.includes(id));
}

/**
 * Attributes (type, length, value) from one declarative description per kind of message.
 *
 * ```ts
 * const LINK_INFO = attributes({ kind: [1, string], data: [2, bytes] });
 * const LINK = attributes({ name: [3, string], mtu: [4, u32], info: [18, nested(LINK_INFO)] });
 * type Link = ValuesOf<typeof LINK>; // {name?: string, mtu?: number, info?: {…}}
 * ```
 *
 * Every attribute is optional, as in the kernel. When reading, attributes that are not described
 * are left out ({@link rawAttributes} shows them), and the last of several of one number counts,
 * as in the kernel's nla_parse, unless it is described as {@link repeated}.
 *
 * @module
 */

import { type Codec, NLA_F_NESTED, NLA_F_NET_BYTEORDER } from "./codec.ts";
import { malformed } from "./error.ts";
import { align, type Writer } from "./writer.ts";

const HEADER = 4;
const LENGTH_LIMIT = 0x10000;
const TYPE_MASK = 0xffff & ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER);

/** An attribute that may occur several times: its value is an array. */
export interface Repeated<T> {
  readonly each: Codec<T>;
}

/** Describes an attribute that may occur several times in its nest. */
export function repeated<T>(each: Codec<T>): Repeated<T> {
  return { each };
}

type AnyCodec = Codec<unknown> | Repeated<unknown>;

/** Names of attributes with their number and codec. */
export type Description = Readonly<Record<string, readonly [id: number, codec: AnyCodec]>>;

type AttributeValue<C> = C extends Repeated<infer T> ? readonly T[]
  : C extends Codec<infer T> ? T
  : never;

/** The values that a description stands for. */
export type Values<D extends Description> = {
  readonly [K in keyof D]?: AttributeValue<D[K][1]>;
};

/** The values of a set made by {@link attributes}. */
export type ValuesOf<S> = S extends AttributeSet<infer D> ? Values<D> : never;

/** An attribute as it is in a message. */
export interface RawAttribute {
  /** Number, without the two flag bits. */
  readonly id: number;
  /** Where its header starts in the bytes it was read from. */
  readonly offset: number;
  readonly payload: Uint8Array;
}

/**
 * The attributes in these bytes. Fewer than four bytes after the last one are padding, as in the
 * kernel's nla_parse; a length outside the bytes throws NetlinkError.
 */
export function* rawAttributes(bytes: Uint8Array): Generator<RawAttribute> {
  let offset = 0;
  while (bytes.length - offset >= HEADER) {
    const length = attributeLength(bytes, offset);
    const id = attributeId(bytes, offset);
    yield { id, offset, payload: bytes.subarray(offset + HEADER, offset + length) };
    offset += align(length);
  }
}

function attributeId(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 2] | bytes[offset + 3] << 8) & TYPE_MASK;
}

function attributeLength(bytes: Uint8Array, offset: number): number {
  const length = bytes[offset] | bytes[offset + 1] << 8;
  if (length < HEADER || length > bytes.length - offset) {
    throw malformed(
      `an attribute at byte ${offset} of ${bytes.length} in a netlink message is ${length} long`,
    );
  }
  return length;
}

/** A described set of attributes: the whole of a message's, or of a nest's. */
export class AttributeSet<D extends Description> {
  readonly #entries: readonly Entry[];
  readonly #byId: ReadonlyMap<number, Entry>;

  constructor(readonly description: D) {
    this.#entries = Object.entries(description).map(([name, [id, codec]]) =>
      "each" in codec
        ? { name, id, codec: codec.each, many: true }
        : { name, id, codec, many: false }
    );
    this.#byId = new Map(this.#entries.map((entry) => [entry.id, entry]));
  }

  /** Appends the attributes that have a value, in the order of the description. */
  write(out: Writer, values: Values<D>): void {
    for (const { name, id, codec, many } of this.#entries) {
      const value = values[name];
      if (value === undefined) continue;
      if (!many) writeAttribute(out, name, id, codec, value);
      else for (const one of value as unknown[]) writeAttribute(out, name, id, codec, one);
    }
  }

  /** Reads all of the bytes. */
  read(bytes: Uint8Array): Values<D> {
    const values: Record<string, unknown> = {};
    this.readInto(values, bytes);
    return values as Values<D>;
  }

  /**
   * Adds what the bytes say to an object. Returns whether there is no attribute among them that is
   * not described.
   */
  readInto(values: Record<string, unknown>, bytes: Uint8Array): boolean {
    let complete = true;
    for (let offset = 0; bytes.length - offset >= HEADER;) {
      const length = attributeLength(bytes, offset);
      const entry = this.#byId.get(attributeId(bytes, offset));
      if (entry === undefined) {
        complete = false;
      } else {
        const value = entry.codec.read(bytes.subarray(offset + HEADER, offset + length));
        if (entry.many) ((values[entry.name] ??= []) as unknown[]).push(value);
        else values[entry.name] = value;
      }
      offset += align(length);
    }
    return complete;
  }

  /** The path of names, starting with a dot, of the attribute at an offset in these bytes. */
  locate(bytes: Uint8Array, offset: number): string {
    for (const attribute of rawAttributes(bytes)) {
      const inside = offset - attribute.offset;
      if (inside >= HEADER + attribute.payload.length) continue;
      const entry = this.#byId.get(attribute.id);
      const name = `.${entry?.name ?? `attribute ${attribute.id}`}`;
      if (inside < HEADER || entry?.codec.locate === undefined) return name;
      return name + entry.codec.locate(attribute.payload, inside - HEADER);
    }
    return "";
  }
}

interface Entry {
  readonly name: string;
  readonly id: number;
  readonly codec: Codec<unknown>;
  readonly many: boolean;
}

function writeAttribute(
  out: Writer,
  name: string,
  id: number,
  codec: Codec<unknown>,
  value: unknown,
): void {
  const start = out.reserve(HEADER);
  codec.write(out, value);
  const length = out.length - start;
  if (length >= LENGTH_LIMIT) {
    throw new RangeError(`the attribute ${name} of ${length} bytes is longer than netlink allows`);
  }
  out.setU16(start, length);
  out.setU16(start + 2, id | codec.flags);
  out.align();
}

/** A set of attributes by its description: name → [number, codec]. */
export function attributes<const D extends Description>(description: D): AttributeSet<D> {
  return new AttributeSet(description);
}

/** The codec of an attribute that holds attributes; NLA_F_NESTED is set in requests. */
export function nested<D extends Description>(set: AttributeSet<D>): Codec<Values<D>> {
  return {
    flags: NLA_F_NESTED,
    write: (out, values) => set.write(out, values),
    read: (bytes) => set.read(bytes),
    locate: (bytes, offset) => set.locate(bytes, offset),
  };
}

/**
 * The payload of a kind of message: a fixed header (`struct rtmsg`, `genlmsghdr`, `nfgenmsg`, …)
 * and attributes, both described declaratively.
 *
 * @module
 */

import type { AttributeSet, Description, Values } from "./attribute.ts";
import { type Codec, type FixedCodec, NLA_F_NESTED, type ValueOf } from "./codec.ts";
import { malformed } from "./error.ts";
import { align, Writer } from "./writer.ts";

/** Fields of a fixed header in their order in memory. Write padding out as a field. */
export type Fields = Readonly<Record<string, FixedCodec<number> | FixedCodec<bigint>>>;

/** The values of a header. */
export type HeaderValues<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** A payload, read. */
export interface Payload<F extends Fields, D extends Description> {
  readonly header: HeaderValues<F>;
  readonly attributes: Values<D>;
}

/** A payload to write: header fields that are not given are zero. */
export interface PayloadInput<F extends Fields, D extends Description> {
  readonly header: Partial<HeaderValues<F>>;
  readonly attributes: Values<D>;
}

/** Names the parts of a payload, for errors. */
export interface Locator {
  /** The name of what is at an offset from the payload's start, such as "info.kind". */
  locate(payload: Uint8Array, offset: number): string;
}

/** A kind of payload: encodes and decodes it. */
export class MessageFormat<F extends Fields, D extends Description> implements Locator {
  readonly #fields: readonly { name: string; codec: FixedCodec<unknown>; offset: number }[];
  /** Bytes of the fixed header, without padding after it. */
  readonly headerSize: number;

  constructor(readonly header: F, readonly attributes: AttributeSet<D>) {
    let offset = 0;
    this.#fields = Object.entries(header).map(([name, codec]) => {
      const field = { name, codec: codec as FixedCodec<unknown>, offset };
      offset += codec.size;
      return field;
    });
    this.headerSize = offset;
  }

  /** The bytes of a payload. Throws RangeError or TypeError on a value that does not fit. */
  encode(header: Partial<HeaderValues<F>>, attributes: Values<D>): Uint8Array<ArrayBuffer> {
    const out = new Writer();
    this.write(out, { header, attributes });
    return out.written;
  }

  /** Appends a payload; where it starts must be aligned. */
  write(out: Writer, { header, attributes }: PayloadInput<F, D>): void {
    for (const { name, codec } of this.#fields) codec.write(out, header[name] ?? codec.zero);
    out.align();
    this.attributes.write(out, attributes);
  }

  /** Reads a payload. Throws NetlinkError (EBADMSG) when it is not one. */
  decode(payload: Uint8Array): Payload<F, D> {
    if (payload.length < this.headerSize) {
      throw malformed(`a header of ${this.headerSize} bytes has ${payload.length}`);
    }
    const header: Record<string, unknown> = {};
    for (const { name, codec, offset } of this.#fields) {
      header[name] = codec.read(payload.subarray(offset, offset + codec.size));
    }
    return {
      header: header as HeaderValues<F>,
      attributes: this.attributes.read(payload.subarray(align(this.headerSize))),
    };
  }

  locate(payload: Uint8Array, offset: number): string {
    let found = "";
    if (offset < this.headerSize) {
      for (const field of this.#fields) if (field.offset <= offset) found = `.${field.name}`;
    } else {
      const start = align(this.headerSize);
      found = this.attributes.locate(payload.subarray(start), offset - start);
    }
    return found.slice(1);
  }
}

/** The codec of an attribute that holds a whole payload, such as VETH_INFO_PEER. */
export function embedded<F extends Fields, D extends Description>(
  format: MessageFormat<F, D>,
): Codec<PayloadInput<F, D>> {
  return {
    flags: NLA_F_NESTED,
    write: (out, value) => format.write(out, value),
    read: (bytes) => format.decode(bytes),
    locate: (bytes, offset) => `.${format.locate(bytes, offset)}`,
  };
}

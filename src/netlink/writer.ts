/**
 * A growing buffer for messages in host byte order, which is little-endian on all supported
 * machines.
 *
 * @module
 */

/** Netlink aligns messages, fixed headers and attributes to 4 bytes (NLMSG_ALIGNTO, NLA_ALIGNTO). */
export function align(length: number): number {
  return length + 3 & ~3;
}

/** Appends numbers and bytes; what is not written is zero. */
export class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written. */
  get length(): number {
    return this.#length;
  }

  /** What was written: a view that later writes may change or leave behind. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Appends zeros and returns where they start. */
  reserve(length: number): number {
    const start = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  /** Forgets everything, for use with another message. */
  clear(): void {
    this.#bytes.fill(0, 0, this.#length);
    this.#length = 0;
  }

  /** Appends zeros up to a multiple of 4. */
  align(): void {
    this.reserve(align(this.#length) - this.#length);
  }

  bytes(value: Uint8Array): void {
    const start = this.reserve(value.length);
    this.#bytes.set(value, start);
  }

  u8(value: number): void {
    const start = this.reserve(1);
    this.#bytes[start] = value;
  }

  u16(value: number, littleEndian = true): void {
    const start = this.reserve(2);
    this.#view.setUint16(start, value, littleEndian);
  }

  u32(value: number, littleEndian = true): void {
    const start = this.reserve(4);
    this.#view.setUint32(start, value, littleEndian);
  }

  u64(value: bigint, littleEndian = true): void {
    const start = this.reserve(8);
    this.#view.setBigUint64(start, value, littleEndian);
  }

  /** Overwrites at a place reserved before. */
  setU16(place: number, value: number): void {
    this.#view.setUint16(place, value, true);
  }

  setU32(place: number, value: number): void {
    this.#view.setUint32(place, value, true);
  }
}

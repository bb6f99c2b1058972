/**
 * Numbers of a file in either byte order, with bounds checked and errors that say where.
 *
 * @module
 */

/** A capture file that is not as its format wants it; one line that says where and what. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";

  constructor(readonly offset: number, what: string) {
    super(`at offset ${offset}: ${what}`);
  }
}

/** Reads a file from anywhere. */
export class ByteReader {
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array, public littleEndian = true) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u16(at: number): number {
    return this.#view.getUint16(at, this.littleEndian);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, this.littleEndian);
  }

  i64(at: number): bigint {
    return this.#view.getBigInt64(at, this.littleEndian);
  }

  /** Throws {@link CaptureError} unless that many bytes follow. */
  need(at: number, count: number, what: string): void {
    const left = this.length - at;
    if (left >= count) return;
    throw new CaptureError(at, `${what} of ${count} bytes is cut off after ${Math.max(0, left)}`);
  }
}

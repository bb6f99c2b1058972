/**
 * Moves packets between a TUN device and the engine, a batch at a time: read until the device is
 * empty or the slots are full, one call into Wasm, write what is to go on. The bytes never leave
 * the engine's memory.
 *
 * @module
 */

import type { Engine } from "../../engine/engine.ts";
import { PacketVerdict } from "../../engine/abi.ts";
import { ERRNO, errnoName, lastErrno, libc, SystemError } from "../../linux/libc.ts";
import { TUN_HEADER_SIZE } from "../../linux/tun.ts";
import type { Icmpv6Errors } from "./icmpv6_errors.ts";

/** Packets of one batch: enough to hide cache misses, few enough to stay in the cache. */
const BATCH = 64;

/** One TUN device pumped through one engine. */
export class Pump {
  readonly #engine: Engine;
  readonly #fd: number;
  /** A view of each slot's memory, header first. */
  readonly #slots: Uint8Array<ArrayBuffer>[];
  readonly #refused: Record<string, number> = {};

  constructor(engine: Engine, fd: number) {
    this.#engine = engine;
    this.#fd = fd;
    const count = Math.min(BATCH, engine.slotCount);
    this.#slots = Array.from({ length: count }, (_, slot) => engine.slotBytes(slot));
  }

  /** Packets that the kernel did not take, by reason: "write_eio". The engine counts the rest. */
  get refused(): Readonly<Record<string, number>> {
    return { ...this.#refused };
  }

  /**
   * Moves one batch. Returns how many packets were read: fewer than {@link batchSize} means that the
   * device was empty. Throws SystemError when the device cannot be read any more.
   */
  run(nowMs: number): number {
    const { read } = libc();
    const slots = this.#slots;
    let count = 0;
    while (count < slots.length) {
      const length = read(this.#fd, slots[count], slots[count].length);
      if (length <= 0) {
        if (length < 0) this.#checkReadError(lastErrno());
        break;
      }
      this.#engine.setLength(count, length);
      count++;
    }
    if (count === 0) return 0;
    this.#engine.process(0, count, nowMs);
    this.#write(count);
    return count;
  }

  get batchSize(): number {
    return this.#slots.length;
  }

  /**
   * Passes on what the node was told about packets of our connections; the rest is the kernel's,
   * which has it already. Throws SystemError when there is no more to be had.
   */
  passErrors(errors: Icmpv6Errors, nowMs: number): void {
    for (let count = 0; count < BATCH; count++) {
      const length = errors.receive(this.#slots[0]);
      if (length === 0) return;
      this.#engine.setLength(0, length);
      this.#engine.process(0, 1, nowMs);
      if (this.#engine.verdict(0) === PacketVerdict.Forward) this.#write(1);
    }
  }

  #write(count: number): void {
    const { write } = libc();
    for (let slot = 0; slot < count; slot++) {
      if (this.#engine.verdict(slot) === PacketVerdict.Drop) continue;
      const length = this.#engine.outputLength(slot);
      if (length <= TUN_HEADER_SIZE) continue;
      if (write(this.#fd, this.#slots[slot], length) < 0) this.#countWriteError(lastErrno());
    }
  }

  #checkReadError(errno: number): void {
    if (errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR) {
      throw new SystemError(errno, "read from the TUN device");
    }
  }

  #countWriteError(errno: number): void {
    const reason = `write_${errnoName(errno).toLowerCase()}`;
    this.#refused[reason] = (this.#refused[reason] ?? 0) + 1;
  }
}

/**
 * Batches: what the kernel does as a whole or not at all (nfnetlink's NFNL_MSG_BATCH_BEGIN to
 * NFNL_MSG_BATCH_END, in one datagram).
 *
 * @module
 */

import { ERRNO } from "../../../linux/errno.ts";
import { malformed } from "../../error.ts";
import {
  type Message,
  MESSAGE_HEADER_SIZE,
  NetlinkError,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  parseAck,
  parseMessages,
} from "../../message.ts";
import type { Answers } from "../../socket.ts";
import { Writer } from "../../writer.ts";
import { SUBSYSTEM } from "../nfnetlink.ts";
import { BATCH, BATCH_BEGIN, BATCH_END } from "./formats.ts";
import { describeMessage } from "./describe.ts";
import { type MessageSink, type Operation, writeOperation } from "./operations.ts";

/** An operation that the kernel refused. */
export interface Refusal {
  /** Its place among the batch's operations, from 0. */
  readonly place: number;
  readonly error: NetlinkError;
}

/** A batch of which nothing was done: the operations that the kernel refused, in their order. */
export class BatchError extends Error {
  override readonly name = "BatchError";

  constructor(
    /** Empty where the batch was refused as a whole. */
    readonly refusals: readonly Refusal[],
    /** The first refusal. */
    override readonly cause: NetlinkError,
  ) {
    const more = refusals.length - 1;
    super(more > 0 ? `${cause.message}; and ${more} more of the batch` : cause.message);
  }

  /** The symbolic number of the first refusal. */
  get code(): string {
    return this.cause.code;
  }

  /** Whether the rules changed since the generation that the batch was made for. */
  get stale(): boolean {
    return this.cause.errno === ERRNO.ERESTART;
  }
}

/** Writes a batch as one datagram, operation after operation. */
export class BatchWriter {
  readonly #out = new Writer(64 * 1024);
  /** For each message, which operation it belongs to. */
  readonly #places: number[] = [];
  readonly #sink: MessageSink;
  #place = FRAME;
  /** Where the last message begins. */
  #last = 0;

  /** With a generation the kernel refuses the batch unless that is the rules' present one. */
  constructor(generation: number | null = null) {
    this.#sink = {
      begin: (type, flags) => {
        this.#last = this.#out.reserve(MESSAGE_HEADER_SIZE);
        this.#places.push(this.#place);
        this.#out.setU16(this.#last + 4, type);
        this.#out.setU16(this.#last + 6, flags | NLM_F_REQUEST);
        this.#out.setU32(this.#last + 8, this.#places.length);
        return this.#out;
      },
      end: () => {
        this.#out.setU32(this.#last, this.#out.length - this.#last);
        this.#out.align();
      },
    };
    writeFrame(this.#sink, BATCH_BEGIN, generation);
  }

  /** Messages so far. */
  get size(): number {
    return this.#places.length;
  }

  /** Appends an operation. Throws RangeError or TypeError on a value that does not fit. */
  add(operation: Operation): void {
    this.#place++;
    writeOperation(operation, this.#sink, this.#place + 1);
  }

  /** The whole; there is nothing to send when no operation does anything. */
  finish(): EncodedBatch {
    // The answer to the last operation is the proof that the kernel looked at all of them.
    const flags = this.#out.written[this.#last + 6] | this.#out.written[this.#last + 7] << 8;
    this.#out.setU16(this.#last + 6, flags | NLM_F_ACK);
    const empty = this.#places.length === 1;
    this.#place = FRAME;
    writeFrame(this.#sink, BATCH_END, null);
    return { datagram: this.#out.written, places: this.#places, empty };
  }
}

/** A batch as one datagram, whose messages are numbered from 1. */
export interface EncodedBatch {
  readonly datagram: Uint8Array<ArrayBuffer>;
  /** For each message, in their order, which operation it belongs to. */
  readonly places: readonly number[];
  readonly empty: boolean;
}

/** The place of the messages that begin and end a batch. */
const FRAME = -1;

/** The datagram of operations. */
export function encodeBatch(
  operations: Iterable<Operation>,
  generation: number | null = null,
): EncodedBatch {
  const writer = new BatchWriter(generation);
  for (const operation of operations) writer.add(operation);
  return writer.finish();
}

function writeFrame(sink: MessageSink, type: number, generation: number | null): void {
  BATCH.write(sink.begin(type, 0), {
    header: { resource: SUBSYSTEM.nftables },
    attributes: { generation: generation ?? undefined },
  });
  sink.end();
}

/** Throws BatchError unless the kernel's answers to a batch say that it was carried out. */
export function checkAnswers(
  { datagram, places }: EncodedBatch,
  { messages, lost }: Answers,
): void {
  const refused = new Map<number, Message>();
  let done = false;
  for (const answer of messages) {
    if (answer.type !== NLMSG_ERROR || places[answer.sequence - 1] === undefined) continue;
    const isRefusal = answer.payload.some((byte, i) => i < 4 && byte !== 0);
    if (isRefusal) refused.set(answer.sequence, answer);
    else done ||= answer.sequence === places.length - 1;
  }
  if (refused.size > 0) throw batchError(datagram, places, refused);
  if (lost) throw new BatchError([], new NetlinkError(ERRNO.ENOBUFS, WHOLE));
  if (!done) throw malformed("the kernel did not answer a batch of nf_tables");
}

const WHOLE = "carry out a batch of nf_tables";

function batchError(
  datagram: Uint8Array,
  places: readonly number[],
  refused: ReadonlyMap<number, Message>,
): BatchError {
  const refusals: Refusal[] = [];
  let whole: NetlinkError | null = null;
  for (const { sequence, type, flags, payload } of parseMessages(datagram)) {
    const answer = refused.get(sequence);
    if (answer === undefined) continue;
    const place = places[sequence - 1];
    const { what, format } = place === FRAME
      ? { what: WHOLE, format: BATCH }
      : describeMessage(type, flags, payload);
    const error = parseAck(answer, { type, payload, format, what });
    if (error === null) continue;
    if (place === FRAME) whole ??= error;
    else refusals.push({ place, error });
  }
  return new BatchError(refusals, whole ?? refusals[0].error);
}

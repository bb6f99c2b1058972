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
} from "../../message.ts";
import { Writer } from "../../writer.ts";
import { SUBSYSTEM } from "../nfnetlink.ts";
import { BATCH, BATCH_BEGIN, BATCH_END } from "./formats.ts";
import {
  describeOperation,
  locatorOf,
  type MessageSink,
  type Operation,
  writeOperation,
} from "./operations.ts";

/** An operation that the kernel refused. */
export interface Refusal {
  /** Its place among the batch's operations. */
  readonly place: number;
  readonly operation: Operation;
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

/** A batch as one datagram. */
export interface EncodedBatch {
  readonly datagram: Uint8Array<ArrayBuffer>;
  /** For each message, in their order: where it starts, and which operation it belongs to. */
  readonly messages: readonly { readonly offset: number; readonly place: number }[];
}

/** The place of the messages that begin and end a batch. */
const FRAME = -1;

/**
 * The datagram of operations; messages are numbered from 1. With a generation the kernel refuses it
 * unless that is the rules' present one. Throws RangeError or TypeError on a value that does not
 * fit.
 */
export function encodeBatch(
  operations: readonly Operation[],
  generation: number | null = null,
): EncodedBatch {
  const out = new Writer(64 * 1024);
  const messages: { offset: number; place: number }[] = [];
  let place = FRAME;
  const sink: MessageSink = {
    begin(type, flags) {
      const offset = out.reserve(MESSAGE_HEADER_SIZE);
      messages.push({ offset, place });
      out.setU16(offset + 4, type);
      out.setU16(offset + 6, flags | NLM_F_REQUEST);
      out.setU32(offset + 8, messages.length);
      return out;
    },
    end() {
      const { offset } = messages[messages.length - 1];
      out.setU32(offset, out.length - offset);
      out.align();
    },
  };
  writeFrame(sink, BATCH_BEGIN, generation);
  for (place = 0; place < operations.length; place++) {
    writeOperation(operations[place], sink, place + 1);
  }
  place = FRAME;
  const last = messages[messages.length - 1].offset;
  // The answer to the last operation is the proof that the kernel looked at all of them.
  out.setU16(last + 6, flagsAt(out, last) | NLM_F_ACK);
  writeFrame(sink, BATCH_END, null);
  return { datagram: out.written, messages };
}

function writeFrame(sink: MessageSink, type: number, generation: number | null): void {
  BATCH.write(sink.begin(type, 0), {
    header: { resource: SUBSYSTEM.nftables },
    attributes: { generation: generation ?? undefined },
  });
  sink.end();
}

function flagsAt(out: Writer, offset: number): number {
  return out.written[offset + 6] | out.written[offset + 7] << 8;
}

/** Throws BatchError unless the kernel's answers to a batch say that it was carried out. */
export function checkAnswers(
  { datagram, messages }: EncodedBatch,
  operations: readonly Operation[],
  answers: readonly Message[],
  lost: boolean,
): void {
  const refusals: Refusal[] = [];
  let whole: NetlinkError | null = null;
  let done = false;
  for (const answer of answers) {
    const message = messages[answer.sequence - 1];
    if (answer.type !== NLMSG_ERROR || message === undefined) continue;
    const { place, offset } = message;
    const operation = operations[place];
    const length = new DataView(datagram.buffer, datagram.byteOffset).getUint32(offset, true);
    const error = parseAck(answer, {
      type: 0,
      payload: datagram.subarray(offset + MESSAGE_HEADER_SIZE, offset + length),
      format: operation && locatorOf(operation),
      what: operation ? describeOperation(operation) : "carry out a batch of nf_tables",
    });
    if (error === null) done ||= answer.sequence === messages.length - 1;
    else if (operation === undefined) whole ??= error;
    else refusals.push({ place, operation, error });
  }
  const first = whole ?? refusals.sort((a, b) => a.place - b.place)[0]?.error;
  if (first !== undefined) throw new BatchError(refusals, first);
  if (lost) {
    throw new BatchError([], new NetlinkError(ERRNO.ENOBUFS, "carry out a batch of nf_tables"));
  }
  if (!done) throw malformed("the kernel did not answer a batch of nf_tables");
}

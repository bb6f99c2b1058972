/**
 * Netlink messages: the header before every payload, and the messages that are netlink's own.
 * Sources: linux/netlink.h, Documentation/userspace-api/netlink/intro.rst of the kernel.
 *
 * @module
 */

import { attributes } from "./attribute.ts";
import { string, u32 } from "./codec.ts";
import { type ExtendedAck, malformed, NetlinkError } from "./error.ts";
import type { Locator } from "./format.ts";
import { align, type Writer } from "./writer.ts";

export { type ExtendedAck, NetlinkError } from "./error.ts";

/** Bytes of `struct nlmsghdr`. */
export const MESSAGE_HEADER_SIZE = 16;

/** Message types of netlink itself; a family's own start at 16. */
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

/** Flags of every request. */
export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
/** In a reply: what is dumped changed meanwhile, so that entries may be missing or twice there. */
export const NLM_F_DUMP_INTR = 0x10;
/** Flags of requests for objects. */
export const NLM_F_DUMP = 0x300;
/** Flags of requests that make objects. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** Flags of NLMSG_ERROR: the request is not repeated whole; attributes follow. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

/** A message as received. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The port of the process that caused it; 0 is the kernel. */
  readonly port: number;
  readonly payload: Uint8Array;
}

/** A message to send. NLM_F_REQUEST is always added. */
export interface Request {
  readonly type: number;
  readonly flags?: number;
  readonly payload: Uint8Array;
  /** Names the attribute that an error points at. */
  readonly format?: Locator;
  /** What is tried, for errors: "add route 10.0.0.0/8". */
  readonly what?: string;
}

/** Appends a request as one message. */
export function writeRequest(out: Writer, request: Request, flags: number, sequence: number): void {
  const start = out.reserve(MESSAGE_HEADER_SIZE);
  out.setU32(start, MESSAGE_HEADER_SIZE + request.payload.length);
  out.setU16(start + 4, request.type);
  out.setU16(start + 6, flags | NLM_F_REQUEST);
  out.setU32(start + 8, sequence);
  out.bytes(request.payload);
  out.align();
}

/**
 * The messages of a datagram; payloads are views of it. A length that is too small or beyond the
 * end throws NetlinkError, after the messages before it.
 */
export function* parseMessages(datagram: Uint8Array): Generator<Message> {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  let offset = 0;
  while (datagram.length - offset >= MESSAGE_HEADER_SIZE) {
    const length = view.getUint32(offset, true);
    if (length < MESSAGE_HEADER_SIZE || length > datagram.length - offset) {
      throw malformed(
        `a netlink message at byte ${offset} of ${datagram.length} is ${length} long`,
      );
    }
    yield {
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      port: view.getUint32(offset + 12, true),
      payload: datagram.subarray(offset + MESSAGE_HEADER_SIZE, offset + length),
    };
    offset += align(length);
  }
}

/** NLMSGERR_ATTR_*: what follows the repeated request in NLMSG_ERROR. */
const EXTENDED_ACK = attributes({
  message: [1, string],
  offset: [2, u32],
  missing: [5, u32],
});

/**
 * Reads NLMSG_ERROR, or the end of a dump (NLMSG_DONE), which may carry one too: null when it says
 * that all is well.
 */
export function parseAck(message: Message, request: Request): NetlinkError | null {
  const { payload, flags } = message;
  if (payload.length < 4) {
    // The end of a dump may come without a code.
    if (message.type === NLMSG_DONE) return null;
    throw malformed(`an acknowledgement has ${payload.length} bytes`);
  }
  const code = u32.read(payload.subarray(0, 4)) | 0;
  if (code === 0) return null;
  if (code > 0) throw malformed(`an acknowledgement says ${code}, which is no error number`);
  const start = message.type === NLMSG_DONE ? 4 : 4 + repeatedRequest(payload, flags);
  const said = (flags & NLM_F_ACK_TLVS) !== 0 && start < payload.length
    ? readExtendedAck(payload.subarray(start), request)
    : {};
  const repeated = payload.subarray(4 + MESSAGE_HEADER_SIZE, Math.min(start, payload.length));
  const extended = repeated.length > 0 ? { ...said, request: repeated } : said;
  return new NetlinkError(-code, request.what ?? `netlink request ${request.type}`, extended);
}

/** Bytes of the request that NLMSG_ERROR repeats after its code. */
function repeatedRequest(payload: Uint8Array, flags: number): number {
  if ((flags & NLM_F_CAPPED) !== 0 || payload.length < 8) return MESSAGE_HEADER_SIZE;
  return align(u32.read(payload.subarray(4, 8)));
}

function readExtendedAck(bytes: Uint8Array, request: Request): ExtendedAck {
  const { message, offset, missing } = EXTENDED_ACK.read(bytes);
  return { message, missing, attribute: offset === undefined ? undefined : name(request, offset) };
}

/** The name of what is at an offset, which the kernel counts from the message's start. */
function name(request: Request, offset: number): string {
  const inside = offset - MESSAGE_HEADER_SIZE;
  if (inside < 0 || inside >= request.payload.length) return `byte ${offset}`;
  return request.format?.locate(request.payload, inside) || `byte ${offset}`;
}

/**
 * SCTP packets for tests.
 *
 * @module
 */

import { buildPacket, type PacketSpec } from "./packets.ts";

/** Chunk types (RFC 9260). */
export const CHUNK = {
  DATA: 0,
  INIT: 1,
  INIT_ACK: 2,
  HEARTBEAT: 4,
  ABORT: 6,
  SHUTDOWN: 7,
  SHUTDOWN_ACK: 8,
  COOKIE_ECHO: 10,
  COOKIE_ACK: 11,
  SHUTDOWN_COMPLETE: 14,
} as const;

/** Builds a packet with one chunk whose value begins with a word (the initiate tag of INIT). */
export function buildSctp(
  spec: Omit<PacketSpec, "protocol" | "payload">,
  tag: number,
  chunk: number,
  word = 0,
): Uint8Array {
  const payload = new Uint8Array(20);
  const view = new DataView(payload.buffer);
  view.setUint8(0, chunk);
  view.setUint16(2, payload.length);
  view.setUint32(4, word);
  return buildPacket({ ...spec, protocol: "SCTP", payload, verificationTag: tag });
}

/** The first packet of an association. */
export function sctpInit(spec: Omit<PacketSpec, "protocol" | "payload">): Uint8Array {
  return buildSctp(spec, 0, CHUNK.INIT, 0x01020304);
}

/**
 * A packet of a capture file, whatever the format.
 *
 * @module
 */

/** The longest packet that libpcap takes from a file of any link type (MAXIMUM_SNAPLEN). */
export const MAX_PACKET = 262_144;

/** A packet as it was captured. */
export interface CapturedPacket {
  /** Where its record begins in the file, bytes. */
  readonly offset: number;
  /** LINKTYPE_* (tcpdump.org/linktypes.html). */
  readonly linkType: number;
  /** Milliseconds since the epoch, with a fraction; null where the file does not say. */
  readonly timeMs: number | null;
  /** What was kept of it, from the link layer's header on: a view of the file. */
  readonly data: Uint8Array;
  /** Its length on the wire, bytes. */
  readonly originalLength: number;
}

/**
 * Packets from capture files: what of a file is common to both formats, and which format it is.
 *
 * @module
 */

import type { CapturedPacket } from "./captured_packet.ts";
import { isPcap, readPcap } from "./pcap.ts";
import { isPcapng, readPcapng } from "./pcapng.ts";
import { CaptureError } from "./reader.ts";

/** The formats that are read. */
export type CaptureFormat = "pcap" | "pcapng";

/** Which format a file is of. Throws {@link CaptureError} when it is of none. */
export function captureFormat(file: Uint8Array): CaptureFormat {
  if (isPcapng(file)) return "pcapng";
  if (isPcap(file)) return "pcap";
  const found = file.length === 0
    ? "an empty file"
    : `found ${
      [...file.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
    }`;
  throw new CaptureError(0, `expected a pcap or pcapng file, ${found}`);
}

/**
 * The packets of a file, in its order. Throws {@link CaptureError} where the file is not as its
 * format wants it; what comes before is given out before that.
 */
export function readCapture(file: Uint8Array): Generator<CapturedPacket> {
  return captureFormat(file) === "pcapng" ? readPcapng(file) : readPcap(file);
}

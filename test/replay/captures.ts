/** Captures of conversations, built packet by packet. */

import { buildPacket, type PacketSpec } from "../engine/packets.ts";
import { ethernet, writePcap, type Written } from "../capture/writer.ts";

/** A packet and when it was captured, milliseconds. */
export type Sent = PacketSpec & { readonly atMs?: number };

/** A frame of Ethernet. */
export function frame(spec: Sent): Written {
  const data = ethernet(buildPacket(spec).subarray(12));
  return { data, timeNs: BigInt(Math.round((spec.atMs ?? 0) * 1e6)) + 1_700_000_000_000_000_000n };
}

/** A pcap file of Ethernet. */
export function captureOf(...packets: readonly Sent[]): Uint8Array<ArrayBuffer> {
  return writePcap(packets.map(frame), { nanoseconds: true });
}

/** The answer to a packet. */
export function answer(spec: Sent, more: Partial<Sent> = {}): Sent {
  const { source, sourcePort, dest, port } = spec;
  return { ...spec, source: dest, sourcePort: port, dest: source, port: sourcePort, ...more };
}

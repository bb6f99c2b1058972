/** A client's side of the records of POST /api/v1/lookup, written from the API's description. */

import { addressBytes, formatAddress } from "../../src/net/address.ts";
import type { PacketQuery } from "../../src/engine/handle.ts";

export const TYPE = "application/vnd.switchyard.lookup+octet-stream";

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 };
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

function sixteen(address: string): Uint8Array {
  const bytes = addressBytes(address);
  return bytes.length === 16 ? bytes : Uint8Array.of(...MAPPED, ...bytes);
}

export function encode(packets: readonly PacketQuery[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(packets.length * 40);
  const view = new DataView(bytes.buffer);
  for (const [i, { source, sourcePort = 0, dest, port, protocol }] of packets.entries()) {
    bytes.set(sixteen(source), i * 40);
    bytes.set(sixteen(dest), i * 40 + 16);
    view.setUint16(i * 40 + 32, sourcePort, true);
    view.setUint16(i * 40 + 34, port, true);
    view.setUint8(i * 40 + 36, PROTOCOLS[protocol]);
  }
  return bytes;
}

export interface Decoded {
  readonly verdict: string;
  readonly reason: number;
  readonly sourceClass: string;
  readonly frontend: string | null;
  readonly masquerade: boolean;
  readonly service: string | null;
  readonly backend: { readonly address: string; readonly port: number } | null;
}

export function decode(bytes: Uint8Array<ArrayBuffer>): Decoded[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const count = view.getUint32(0, true);
  const namesAt = 16 + count * 32;
  const namesLength = view.getUint32(4, true);
  if (namesAt + namesLength !== bytes.length) throw new Error("the lengths do not fit");
  const names = new TextDecoder().decode(bytes.subarray(namesAt)).split("\n");
  return Array.from({ length: count }, (_, i) => {
    const at = 16 + i * 32;
    const service = view.getUint32(at + 8, true);
    const port = view.getUint16(at + 6, true);
    return {
      verdict: ["FORWARD", "REJECT", "DROP", "PASS"][bytes[at]],
      reason: bytes[at + 1],
      sourceClass: ["pod", "node", "outside"][bytes[at + 2]],
      frontend: ["ClusterIP", "NodePort", "ExternalIP", "LoadBalancer"][bytes[at + 3]] ?? null,
      masquerade: bytes[at + 4] === 1,
      service: service === 0xffffffff ? null : names[service],
      backend: port === 0
        ? null
        : { address: formatAddress(bytes.subarray(at + 16, at + 32)), port },
    };
  });
}

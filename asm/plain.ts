/**
 * The way of most packets: TCP segments and UDP datagrams of connections in the middle of their
 * lives. It does what forward.ts does, in one piece and loading everything once, because a compiled
 * module checks the bounds of every load. Whatever it does not expect it leaves to forward.ts,
 * untouched.
 */

import { ForwardReason } from "./abi";
import { KIND_FLOW, KIND_AT, Packet, tupleOf } from "./packet";
import { forward } from "./slots";
import { backendAt } from "./tables/backends";
import {
  backendIn,
  entryAt,
  IN_USE,
  KIND_TCP,
  KIND_UDP,
  kindIn,
  masqueradeIn,
  ORIGINAL,
  timeLeft,
} from "./tables/entry";
import { masqueradeAddressAt } from "./tables/masquerade";
import { isPlain, trackPlain } from "./tcp_state";
import { rewriteHeader4, rewriteTcp, rewriteUdp } from "./translate";
import { track as trackUdp } from "./udp_state";

/** Handles a packet of IPv4 if its way is plain; false when it has still to be handled. */
// @ts-ignore: decorator
@inline
export function handlePlain4(p: Packet): bool {
  const kinds = load<u32>(changetype<usize>(p), KIND_AT);
  const kind = (kinds >> 8) & 255;
  const link = p.link;
  const fits = (kinds & 0xff0000ff) == <u32>KIND_FLOW && (kind == KIND_TCP || kind == KIND_UDP);
  if (!fits || link == 0) return false;
  const e = entryAt(link >> 1);
  const direction = link & 1;
  const marks = e.marks, owner = e.owner;
  if ((marks & IN_USE) == 0 || kindIn(owner) != kind || timeLeft(e) == 0) return false;

  const t = tupleOf(p);
  const oldPorts = t.ports;
  const oldFrom = <u32>(t.sourceLo >> 32), oldTo = <u32>(t.destLo >> 32);
  const b = backendAt(backendIn(owner));
  const backend = <u32>(b.addressLo >> 32);
  const replyPorts = <u32>b.port | (<u32>e.replyPort << 16);
  const number = masqueradeIn(owner);
  const client = e.source, dialled = e.dest;
  const seenAs = number == 0 ? client : <u32>(masqueradeAddressAt(number).lo >> 32);
  let from = dialled, to = client, ports = rotl<u32>(e.ports, 16);
  if (direction == ORIGINAL) {
    if (oldPorts != rotl<u32>(ports, 16) || oldFrom != client || oldTo != dialled) return false;
    from = seenAs;
    to = backend;
    ports = rotl<u32>(replyPorts, 16);
  } else if (oldPorts != replyPorts || oldFrom != backend || oldTo != seenAs) return false;

  const header = p.base;
  const at = header + p.transport;
  const partial = (kinds & 0xff0000) != 0;
  if (kind == KIND_TCP) {
    const word = load<u32>(at, 12);
    if (!isPlain(marks, word)) return false;
    trackPlain(e, marks, direction, at, word, p.transportLength);
    rewriteTcp(at, ports, oldPorts, rewriteHeader4(header, from, to, oldFrom, oldTo), partial);
  } else {
    trackUdp(e, marks, direction);
    rewriteUdp(at, ports, oldPorts, rewriteHeader4(header, from, to, oldFrom, oldTo), partial);
  }
  const length = p.length;
  b.packets++;
  b.bytes += length;
  forward(p.slot, ForwardReason.Tracked, length);
  return true;
}

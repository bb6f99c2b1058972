/**
 * When a connection counts as active: TCP connections by the states of IPVS (ip_vs_proto_tcp.c,
 * tcp_states of masqueraded connections), which differ from conntrack's; SCTP associations when
 * they are established; UDP never.
 */

import { loadChanged } from "./schedulers/least";
import { backendAt } from "./tables/backends";
import { ACTIVE, backendOf, Entry, has, IPVS_SHIFT } from "./tables/entry";
import * as tcp from "./wire/tcp";

const NO: u8 = 0, ES: u8 = 1, SS: u8 = 2, SR: u8 = 3, FW: u8 = 4, TW: u8 = 5, CL: u8 = 6, CW: u8 = 7,
  LA: u8 = 8, LI: u8 = 9, SA: u8 = 10;

const STATES: u32 = 11;
const EVENTS: u32 = 4;
const RST: u32 = 3;

/** New state by direction, event and old state. */
const TRANSITIONS = memory.data<u8>([
  // Original direction; columns: NO ES SS SR FW TW CL CW LA LI SA.
  /* syn */ SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR,
  /* fin */ CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW,
  /* ack */ ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES,
  /* rst */ CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR,
  // Reply direction.
  /* syn */ SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR,
  /* fin */ TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW,
  /* ack */ ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES,
  /* rst */ CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL,
]);

function eventOf(flags: u32): u32 {
  if ((flags & tcp.RST) != 0) return RST;
  if ((flags & tcp.SYN) != 0) return 0;
  if ((flags & tcp.FIN) != 0) return 1;
  return (flags & tcp.ACK) != 0 ? 2 : EVENTS;
}

// @ts-ignore: decorator
@inline
function isActive(state: u8): bool {
  return state == ES || state == SS || state == SR || state == SA;
}

function after(state: u8, direction: u32, flags: u32): u8 {
  const event = eventOf(flags);
  if (event == EVENTS) return CL;
  return load<u8>(TRANSITIONS + <usize>((direction * EVENTS + event) * STATES + state));
}

function setIpvsState(e: Entry, state: u8): void {
  e.marks = (e.marks & ~(<u32>15 << IPVS_SHIFT)) | (<u32>state << IPVS_SHIFT);
}

/** Sets up a new TCP entry, which is in no backend's count yet, by its first segment's flags. */
// @ts-ignore: decorator
@inline
export function beginTcp(e: Entry, flags: u32): void {
  const state = after(NO, 0, flags);
  setIpvsState(e, state);
  if (isActive(state)) e.marks |= ACTIVE;
}

/** Follows a segment of a TCP connection. */
export function trackTcp(e: Entry, direction: u32, flags: u32): void {
  const old = <u8>((e.marks >> IPVS_SHIFT) & 15);
  const next = after(old, direction, flags);
  if (next == old) return;
  setIpvsState(e, next);
  setActive(e, isActive(next));
}

/** Says whether a connection is active from now on. */
export function setActive(e: Entry, active: bool): void {
  if (has(e, ACTIVE) == active) return;
  e.marks ^= ACTIVE;
  const b = backendAt(backendOf(e));
  if (active) b.active++;
  else b.active--;
  loadChanged(b);
}

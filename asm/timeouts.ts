/** How long connections are kept without traffic, ms: nf_conntrack's defaults. */

import { TcpState } from "./abi";

/** By TcpState. */
export const TCP = memory.data<u32>([
  0, 120000, 60000, 432000000, 120000, 60000, 30000, 120000, 10000, 120000,
]);

/** While data is unacknowledged, the window is 0, segments are repeated, or no answer came. */
export const TCP_DOUBTFUL: u32 = 300000;

export let udp: u32 = 30000;
/** Of what goes on both ways. */
export let udpStream: u32 = 120000;

/** The timeout of a TCP state. */
// @ts-ignore: decorator
@inline
export function tcpTimeout(state: u32): u32 {
  return load<u32>(TCP + (<usize>state << 2));
}

/** Configures the timeout of a TCP state. */
export function setTcpTimeout(state: u32, ms: u32): void {
  if (state < <u32>TcpState.Count) store<u32>(TCP + (<usize>state << 2), ms);
}

/** Configures the timeouts of UDP. */
export function setUdpTimeouts(ms: u32, streamMs: u32): void {
  udp = ms;
  udpStream = streamMs;
}

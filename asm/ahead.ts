/**
 * Touching ahead what a batch of packets will need: Wasm has no prefetch, but loads that do not wait
 * for one another overlap, and what they fetch is there when the packets are handled. So every loop
 * here does no more than to find the next place and to load from it.
 */

import { KIND_FLOW, packetOf } from "./packet";
import { backendAt } from "./tables/backends";
import { backendOf, entryAt, isV6 } from "./tables/entry";
import { bucketOf, likelyLink } from "./tables/tuple_index";

/** Takes part in the result, so that the touching is not optimised away. */
let touched: u32 = 0;

/** Touches what the parsed packets in the slots from `first` to before `end` need. */
export function touch(first: u32, end: u32): void {
  let sink = touched;
  for (let slot = first; slot < end; slot++) {
    sink += <u32>load<u8>(bucketOf(packetOf(slot).hash));
  }
  for (let slot = first; slot < end; slot++) {
    const p = packetOf(slot);
    if (p.kind == KIND_FLOW) p.link = likelyLink(p.hash);
  }
  // An entry may lie in two cache lines.
  for (let slot = first; slot < end; slot++) {
    const at = changetype<usize>(entryAt(packetOf(slot).link >> 1));
    sink += <u32>load<u8>(at) + <u32>load<u8>(at, 47);
  }
  for (let slot = first; slot < end; slot++) {
    const e = entryAt(packetOf(slot).link >> 1);
    sink += <u32>load<u8>(changetype<usize>(backendAt(backendOf(e))));
    if (isV6(e)) {
      const addresses = changetype<usize>(entryAt(e.source));
      sink += <u32>load<u8>(addresses) + <u32>load<u8>(addresses, 39);
    }
  }
  touched = sink;
}

/** The node's networks and addresses: by them a source gets its class, and node ports answer. */

import { NetworkList, NetworkRecord, SourceKind } from "../abi";
import { region } from "../memory";
import { isMapped } from "../tuple";

/** Networks that a list can hold. */
export const NETWORK_CAPACITY: u32 = 1024;

const LISTS: u32 = 3;
const FAMILIES: u32 = 2;
export let counts: usize = 0;
export let lists: usize = 0;

export function layoutNetworks(): void {
  counts = region(<usize>LISTS * FAMILIES * 4);
  lists = region(<usize>LISTS * FAMILIES * NETWORK_CAPACITY * NetworkRecord.Size);
}

// @ts-ignore: decorator
@inline
function listAt(place: u32): usize {
  return lists + <usize>place * NETWORK_CAPACITY * NetworkRecord.Size;
}

/** Replaces a family's list by `count` records at `from`; false when they are too many. */
export function setNetworks(list: u32, family: u32, from: usize, count: u32): bool {
  if (list >= LISTS || family >= FAMILIES || count > NETWORK_CAPACITY) return false;
  const place = list * FAMILIES + family;
  memory.copy(listAt(place), from, <usize>count * NetworkRecord.Size);
  store<u32>(counts + (<usize>place << 2), count);
  return true;
}

/** Whether one of `count` records at `from` contains the address. */
// @ts-ignore: decorator
@inline
export function anyContains(from: usize, count: u32, hi: u64, lo: u64): bool {
  const end = from + <usize>count * NetworkRecord.Size;
  if (isMapped(hi, lo)) {
    // All records of a list are of one family: only what differs in IPv4 is to be compared.
    for (let at = from; at < end; at += NetworkRecord.Size) {
      if (((load<u64>(at, 8) ^ lo) & load<u64>(at, 24)) == 0) return true;
    }
    return false;
  }
  for (let at = from; at < end; at += NetworkRecord.Size) {
    const differs = ((load<u64>(at) ^ hi) & load<u64>(at, 16)) |
      ((load<u64>(at, 8) ^ lo) & load<u64>(at, 24));
    if (differs == 0) return true;
  }
  return false;
}

/** Whether a list contains the address. */
// @ts-ignore: decorator
@inline
export function listContains(list: u32, hi: u64, lo: u64): bool {
  const place = list * FAMILIES + (isMapped(hi, lo) ? 0 : 1);
  return anyContains(listAt(place), load<u32>(counts + (<usize>place << 2)), hi, lo);
}

/** The class of a source. Pods come first, wherever they are. */
// @ts-ignore: decorator
@inline
export function classify(hi: u64, lo: u64): u32 {
  if (listContains(NetworkList.Pods, hi, lo)) return SourceKind.Pod;
  return listContains(NetworkList.Node, hi, lo) ? SourceKind.Node : SourceKind.Outside;
}

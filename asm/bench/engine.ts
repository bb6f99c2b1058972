/**
 * The engine, compiled for the benchmark: the same, and where its tables are, for the native twin
 * that works on them in the same memory (bench/native/).
 */

import { counters, drops } from "../counters";
import { records, slots, slotStride } from "../slots";
import { backendAt } from "../tables/backends";
import { beginningAt } from "../tables/beginnings";
import { PLACES_AT } from "../tables/conntrack";
import { entryAt } from "../tables/entry";
import { frontendAt, heads, mask } from "../tables/frontends";
import { table as keptSyns } from "../tables/kept_syns";
import { masqueradeAddressAt, presentAddress } from "../tables/masquerade";
import { counts, lists } from "../tables/networks";
import { servicePortAt } from "../tables/service_ports";
import { bucketOf, count, linkBits } from "../tables/tuple_index";
import { TCP } from "../timeouts";
import { k0, k1, k2, k3, k4, k5 } from "../tuple";

export * from "../index";

const keys = memory.data(6 * 8, 8);

const list = memory.data(22 * 4, 8);
let written: usize = 0;

function add(value: usize): void {
  store<u32>(list + written, <u32>value);
  written += 4;
}

/** Where a list of u32 is: `struct tables` in bench/native/tables.h. */
export function tables(): usize {
  written = 0;
  add(slots);
  add(slotStride);
  add(records);
  add(counters);
  add(drops);
  add(changetype<usize>(entryAt(0)));
  add(PLACES_AT);
  add(bucketOf(0));
  add(count);
  add(linkBits);
  add(heads);
  add(mask);
  add(changetype<usize>(frontendAt(0)));
  add(changetype<usize>(servicePortAt(0)));
  add(changetype<usize>(backendAt(0)));
  add(counts);
  add(lists);
  add(changetype<usize>(masqueradeAddressAt(0)));
  add(presentAddress(0) | (presentAddress(1) << 16));
  add(keptSyns);
  add(TCP);
  add(beginningAt(0));
  return list;
}

/** Where the keys of the hash are: six u64. */
export function hashKeys(): usize {
  store<u64>(keys, k0);
  store<u64>(keys, k1, 8);
  store<u64>(keys, k2, 16);
  store<u64>(keys, k3, 24);
  store<u64>(keys, k4, 32);
  store<u64>(keys, k5, 40);
  return keys;
}

/**
 * The engine's schedulers on their own, compiled for the benchmark: two equal Service ports over as
 * many backends, one picked for by the engine, the other by walking the whole list, as Linux does.
 */

import { PoolKind, PoolRecord } from "../abi";
import { layoutArenas } from "../arena";
import { beginLayout, pagesLaidOut, region } from "../memory";
import { random, randomBelow, seedRandom } from "../random";
import { scan } from "../schedulers/cost";
import { loadChanged } from "../schedulers/least";
import { replaceList, setScheduler } from "../schedulers/lists";
import { beginWalk, deal, WALK_SIZE, walkAt } from "../schedulers/maglev";
import { pick } from "../schedulers/pick";
import { addBackend, backendAt, layoutBackends } from "../tables/backends";
import { layoutDestinations } from "../tables/destinations";
import { layoutPools, memberAt, NONE } from "../tables/pools";
import {
  addServicePort,
  layoutServicePorts,
  poolOf,
  servicePortAt,
} from "../tables/service_ports";
import { mapped, seedHash, Tuple, TUPLE_SIZE } from "../tuple";

/** Connections that are open at a time, per backend. */
const OPEN: u32 = 4;
/** Connections of a batch. */
const BATCH: u32 = 64;
/** Destinations that lblc and lblcr see. */
const DESTINATIONS: u32 = 64;

/** Buckets of the Maglev table that is built on its own. */
const BUCKETS: u32 = 65537;

let capacity: u32 = 0;
let walks: usize = 0;
let table: usize = 0;
let records: usize = 0;
let tuple: usize = 0;
let address: usize = 0;
/** Open connections of the two Service ports: backends. */
let rings: usize = 0;
/** Those of a batch that end: places in a ring. */
let places: usize = 0;
/** Takes part in the result, so that the touching is not optimised away. */
let touched: u32 = 0;

/** Lays out for so many backends and says how many pages that needs. */
export function layout(backends: u32): u32 {
  capacity = backends;
  beginLayout();
  layoutServicePorts(2);
  layoutBackends(backends * 2);
  layoutPools(backends * 2);
  layoutDestinations();
  layoutArenas(backends * 128 + 65536, backends * 256 + 65536);
  walks = region(<usize>backends * WALK_SIZE);
  table = region(<usize>BUCKETS * 2);
  records = region(<usize>backends * PoolRecord.Size);
  tuple = region(TUPLE_SIZE);
  address = region(16);
  rings = region(<usize>backends * 2 * OPEN * 4);
  places = region(BATCH * 4);
  return pagesLaidOut();
}

/** Adds both Service ports; weights are random from 1 to `heaviest`. */
export function prepare(scheduler: u32, flags: u32, heaviest: u32, seed: u64): void {
  seedRandom(seed);
  seedHash(seed);
  for (let which: u32 = 0; which < 2; which++) {
    seedRandom(seed);
    const servicePort = addServicePort();
    setScheduler(servicePort, scheduler, flags, 0);
    for (let i: u32 = 0; i < capacity; i++) {
      store<u64>(address, 0);
      store<u64>(address, mapped(bswap<u32>(0x0a3d0000 + i)), 8);
      const id = addBackend(servicePort, address, 8080, 0);
      store<u32>(records + <usize>i * PoolRecord.Size, id, PoolRecord.Backend);
      store<u32>(
        records + <usize>i * PoolRecord.Size,
        1 + randomBelow(heaviest),
        PoolRecord.Weight,
      );
    }
    replaceList(servicePort, PoolKind.Cluster, records, capacity);
  }
}

function setTuple(client: u32, port: u32, destination: u32): void {
  const t = changetype<Tuple>(tuple);
  t.sourceLo = mapped(client);
  t.destLo = mapped(bswap<u32>(0x0a630000 + destination));
  t.ports = port << 16 | port;
}

/** Gives the second Service port, or with `engine` the first, its open connections. */
export function fill(engine: bool): void {
  const open = capacity * OPEN;
  for (let i: u32 = 0; i < open; i++) begin(engine, i);
}

/**
 * So many new connections, and for each of them a random one ends. In batches, whose ends touch their
 * backends ahead, as the packets of real ones do: see ahead.ts.
 */
export function turn(engine: bool, count: u32): void {
  for (let left = count; left > 0;) {
    const batch = min(left, BATCH);
    touchEnds(engine, batch);
    for (let i: u32 = 0; i < batch; i++) turnOnce(engine, load<u32>(places + (<usize>i << 2)));
    left -= batch;
  }
}

function touchEnds(engine: bool, batch: u32): void {
  let sink = touched;
  for (let i: u32 = 0; i < batch; i++) {
    const place = randomBelow(capacity * OPEN);
    store<u32>(places + (<usize>i << 2), place);
    sink += load<u32>(ringOf(engine, place));
  }
  for (let i: u32 = 0; i < batch; i++) {
    sink += backendAt(load<u32>(ringOf(engine, load<u32>(places + (<usize>i << 2))))).total;
  }
  touched = sink;
}

// @ts-ignore: decorator
@inline
function turnOnce(engine: bool, place: u32): void {
  const old = load<u32>(ringOf(engine, place));
  begin(engine, place);
  const b = backendAt(old);
  b.active--;
  b.total--;
  if (engine) loadChanged(b);
}

// @ts-ignore: decorator
@inline
function ringOf(engine: bool, place: u32): usize {
  return rings + ((<usize>place + (engine ? 0 : <usize>capacity * OPEN)) << 2);
}

// @ts-ignore: decorator
@inline
function begin(engine: bool, place: u32): void {
  const s = servicePortAt(engine ? 1 : 2);
  const pool = poolOf(s, PoolKind.Cluster);
  const client = random();
  let index: u32;
  if (engine) {
    setTuple(client, client & 0xffff, client % DESTINATIONS);
    index = pick(s, PoolKind.Cluster, changetype<Tuple>(tuple));
  } else index = scan(s.scheduler, pool);
  // Nobody takes it: ovf when all are full.
  const id = memberAt(pool, index == NONE ? place % capacity : index).backend;
  store<u32>(ringOf(engine, place), id);
  const b = backendAt(id);
  b.active++;
  b.total++;
  if (engine) loadChanged(b);
}

/**
 * Builds a Maglev table over the backends, by their addresses, but for one (or, with {@link NONE}, all
 * of them); where it is: a u16 a bucket.
 */
export function buildMaglev(without: u32): usize {
  let members: u32 = 0;
  for (let i: u32 = 0; i < capacity; i++) {
    if (i != without) beginWalk(walkAt(walks, members++), 0x0a3d0000 + i + 8080, 1, BUCKETS);
  }
  deal(table, BUCKETS, walks, members);
  return table;
}

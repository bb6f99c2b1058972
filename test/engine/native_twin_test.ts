/**
 * The benchmark's native twin does what the engine does: from the same tables and packets it makes
 * the same, byte for byte. Otherwise their speeds could not be compared.
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { compileEngine } from "../../bench/engine/module.ts";
import { NativeTwin } from "../../bench/engine/native.ts";
import { BATCH, KEPT_SYNS, type Kind, Rig } from "../../bench/engine/rig.ts";
import { BACKENDS, SERVICES } from "../../bench/engine/cluster.ts";
import { Random } from "../fuzz/random.ts";
import { requires } from "../requirements.ts";

const FLOWS = 2048;
const ROUNDS = 80;

/** Names in bench/native/tables.h, in its order. */
const TABLES = (
  "slots slotStride records counters drops entries places buckets " +
  "bucketCount linkBits frontendHeads frontendMask frontends servicePorts backends networkCounts " +
  "networks masquerade presentAddresses keptSyns tcpTimeouts beginnings"
).split(" ");

/** What both must have made the same of: name, address, bytes. */
function areas({ exports, memory }: Rig): [string, Uint8Array][] {
  const list = new Uint32Array(memory.buffer, exports.tables(), TABLES.length);
  const at = (name: string) => list[TABLES.indexOf(name)];
  const places = exports.connectionLimit() + 1;
  const sizes: Record<string, number> = {
    slots: BATCH * at("slotStride"),
    records: BATCH * 16,
    counters: 9 * 8,
    drops: 29 * 8,
    entries: places * 48,
    places: 20,
    beginnings: places * 3,
    buckets: at("bucketCount") * 64,
    servicePorts: (SERVICES + 1) * 144,
    backends: (SERVICES * BACKENDS + 1) * 128,
    masquerade: 32 * 24,
    keptSyns: (KEPT_SYNS + 1) * 152,
  };
  return Object.entries(sizes)
    .map(([name, size]) => [name, new Uint8Array(memory.buffer, at(name), size)]);
}

function assertSame(engine: Rig, twin: Rig, what: string): void {
  const theirs = new Map(areas(twin));
  for (const [name, bytes] of areas(engine)) {
    const other = theirs.get(name)!;
    if (Buffer.compare(bytes, other) === 0) continue;
    const first = bytes.findIndex((byte, i) => byte !== other[i]);
    assert.fail(`${what}: ${name} differs at byte ${first}`);
  }
}

/** Compiled once for all tests here. */
const compiled = compileEngine();

Deno.test("one client's connections to many Services lie apart in the index", async () => {
  const rig = new Rig(await compiled, "IPv4", "UDP", FLOWS);
  // As many as there is room for, from few clients and to Services one behind the other.
  rig.grow(FLOWS);
  const { exports, memory } = rig;
  const list = new Uint32Array(memory.buffer, exports.tables(), TABLES.length);
  const at = (name: string) => list[TABLES.indexOf(name)];
  const words = new Uint32Array(memory.buffer, at("buckets"), at("bucketCount") * 16);
  const links = words.filter((word, i) => i % 16 !== 15 && word !== 0).length;
  // The last word of a bucket counts the links that went on to the next one.
  const passed = words.filter((_, i) => i % 16 === 15).reduce((sum, count) => sum + count, 0);
  assert.equal(links, 2 * FLOWS);
  assert.ok(passed < links / 20, `${passed} of ${links} links are not in their own bucket`);
});

const ALIVE: readonly Kind[] = ["data", "dataBack", "data", "dataBack", "finish", "finishBack"];

Deno.test({
  ...requires("the native twin makes the same of every packet", "gcc"),
  async fn() {
    using twin = await NativeTwin.build();
    const module = await compiled;
    const random = new Random(7);
    for (const family of ["IPv4", "IPv6"] as const) {
      for (const protocol of ["TCP", "UDP"] as const) {
        const rigs = [0, 1].map(() => new Rig(module, family, protocol, FLOWS));
        const [engine, other] = rigs;
        twin.attach(other);
        other.process = twin.process;
        const step = (flows: Uint32Array, kind: Kind) => {
          for (const rig of rigs) {
            rig.fill(flows, kind);
            rig.process(0, flows.length, rig.nowMs);
            if (kind === "open") rig.learn(flows);
          }
        };
        for (const rig of rigs) rig.grow(FLOWS);
        assertSame(engine, other, `${family} ${protocol} opened`);
        for (let round = 0; round < ROUNDS; round++) {
          const start = random.below(FLOWS - BATCH);
          const flows = Uint32Array.from({ length: BATCH }, (_, i) => start + i);
          if (random.once(4)) { for (const rig of rigs) rig.nowMs += 700; }
          if (protocol === "UDP" || !random.once(6)) step(flows, random.pick(ALIVE));
          else {
            // Over and open again, by closing or by a reset of what waits for an answer.
            for (const kind of ["finish", "finishBack", "last", "open"] as const) step(flows, kind);
            if (random.once(2)) {
              for (const kind of ["abort", "open"] as const) step(flows, kind);
            }
            for (const kind of ["answer", "data"] as const) step(flows, kind);
          }
          if (round % 10 === 9) assertSame(engine, other, `${family} ${protocol} round ${round}`);
        }
      }
    }
  },
});

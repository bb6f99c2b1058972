/**
 * What the rule-query API gives, over HTTP and with one core to answer on: explanations and lookups
 * a second beside bare Hono routes that answer a constant of the same size, memory, and what that
 * load costs the syncs of the same process, beside what the same load on another process costs them.
 *
 * @module
 */

import { NetworkNamespace } from "../src/linux/namespace.ts";
import { Rtnetlink } from "../src/netlink/route/rtnetlink.ts";
import type { BareListening } from "./api_bare.ts";
import { type Case, casesOf } from "./api_cases.ts";
import { BenchProcess } from "./api_process.ts";
import type { Done, Listening, Order } from "./api_server.ts";
import { applyLoad, hasWrk } from "./api_wrk.ts";
import { type BenchOptions, MissingProgram } from "./options.ts";
import { comparedRow, median, plainRow, type Row } from "./report.ts";

const CONNECTIONS = 8;
/** How long everything is asked before it counts. */
const FIRST_SECONDS = 8;
/** Syncs of one timed part. */
const SYNCS = 7;

/**
 * Runs the benchmark at the largest of the sizes. Needs root and wrk; iptables for that mode.
 *
 * @throws {MissingProgram}
 */
export async function run({ rounds, seconds, services }: BenchOptions): Promise<Row[]> {
  if (!await hasWrk()) throw new MissingProgram("wrk", "nothing else puts load on the API");
  const folder = await Deno.makeTempDir({ prefix: "switchyard-bench-" });
  try {
    const size = Math.max(...services);
    const rows: Row[] = [];
    for (const mode of ["userspace", "iptables"] as const) {
      const bed = await Bed.start(mode, size, folder);
      try {
        rows.push(...await measure(bed, `${mode}, ${size} Services`, { size, rounds, seconds }));
      } finally {
        await bed.stop();
      }
    }
    return rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Sizes {
  readonly size: number;
  readonly rounds: number;
  readonly seconds: number;
}

async function measure(bed: Bed, prefix: string, { size, rounds, seconds }: Sizes): Promise<Row[]> {
  const cases = await casesOf(size, bed.folder);
  const ours = cases.map((): number[] => []);
  const bare = cases.map((): number[] => []);
  const quiet: number[] = [];
  const elsewhere: number[] = [];
  const busy = cases.map((): number[] => []);
  const memory = [await bed.memory()];
  // What runs for the first time is slower.
  await bed.syncs();
  const first: number[] = [];
  for (const { load, worth } of cases) {
    first.push((await bed.load(load, bed.port, FIRST_SECONDS)).rate * worth);
  }
  for (let round = 0; round < rounds; round++) {
    quiet.push(await bed.syncs());
    const others = bed.load({ path: "/bare" }, bed.otherPort, seconds + 1);
    elsewhere.push(await bed.syncsUnder(others));
    for (const [i, { load, worth }] of cases.entries()) {
      const answered = await bed.load(load, bed.port, seconds);
      ours[i].push(answered.rate * worth);
      await bed.sizeBare(Math.round(answered.bytes));
      const same = load.body === undefined ? { path: "/bare" } : { path: "/bare", body: load.body };
      bare[i].push((await bed.load(same, bed.barePort, seconds)).rate * worth);
      busy[i].push(await bed.syncsUnder(bed.load(load, bed.port, seconds + 1)));
    }
    memory.push(await bed.memory());
  }
  return [
    ...cases.map(({ name, unit }, i) =>
      plainRow(`${prefix}/${name}, first ${FIRST_SECONDS} s`, unit, [first[i]])
    ),
    ...cases.map(({ name, unit }, i) =>
      comparedRow(`${prefix}/${name}`, unit, ours[i], "bare Hono route", bare[i])
    ),
    plainRow(`${prefix}/sync without load`, "ms", quiet),
    comparedRow(`${prefix}/sync, load elsewhere`, "ms", elsewhere, "without load", quiet),
    ...cases.flatMap(({ name }, i) => [
      comparedRow(`${prefix}/sync under ${name}`, "ms", busy[i], "without load", quiet),
      comparedRow(`${prefix}/sync under ${name}, ÷`, "ms", busy[i], "load elsewhere", elsewhere),
    ]),
    plainRow(`${prefix}/memory before`, "MB", memory.slice(0, 1)),
    plainRow(`${prefix}/memory after load`, "MB", memory.slice(1)),
  ];
}

/** The proxy, and a process that has nothing to do with it, in a network namespace of their own. */
class Bed {
  #round = 0;

  private constructor(
    readonly folder: string,
    private readonly namespace: NetworkNamespace,
    private readonly proxy: BenchProcess<Listening, Order, Done>,
    private readonly other: BenchProcess<BareListening, never, never>,
  ) {}

  static async start(mode: string, services: number, folder: string): Promise<Bed> {
    const namespace = NetworkNamespace.create();
    namespace.run(() => {
      using net = Rtnetlink.open();
      net.links.setUp("lo");
    });
    const proxy = await BenchProcess.start<Listening, Order, Done>(
      namespace,
      "api_server.ts",
      [mode, `${services}`],
      { XTABLES_LOCKFILE: `${folder}/xtables.lock` },
    );
    const other = await BenchProcess.start<BareListening, never, never>(
      namespace,
      "api_bare.ts",
      [],
    );
    return new Bed(folder, namespace, proxy, other);
  }

  get port(): number {
    return this.proxy.listening.port;
  }

  get barePort(): number {
    return this.proxy.listening.barePort;
  }

  get otherPort(): number {
    return this.other.listening.port;
  }

  load(load: Case["load"], port: number, seconds: number) {
    const all = { ...load, port, seconds, connections: CONNECTIONS };
    return applyLoad(this.namespace, this.folder, all);
  }

  async sizeBare(bytes: number): Promise<void> {
    await this.proxy.ask({ action: "bare", bytes });
  }

  /** Resident memory of the proxy, MB. */
  async memory(): Promise<number> {
    return (await this.proxy.ask({ action: "memory" })).rss / 1e6;
  }

  /** The median of some syncs, milliseconds. */
  async syncs(): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < SYNCS; i++) {
      times.push((await this.proxy.ask({ action: "sync", round: this.#round++ })).ms);
    }
    return median(times);
  }

  /** The same while a load that has been begun goes on. */
  async syncsUnder(load: Promise<unknown>): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const time = await this.syncs();
    await load;
    return time;
  }

  async stop(): Promise<void> {
    await this.proxy.stop();
    await this.other.stop();
    this.namespace.close();
  }
}

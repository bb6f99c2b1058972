/**
 * What the rule-query API gives, over HTTP and with one core to answer on: explanations and lookups
 * a second beside bare Hono routes that answer a constant of the same size, memory, and what that
 * load costs the syncs of the same process.
 *
 * @module
 */

import { NetworkNamespace } from "../src/linux/namespace.ts";
import { Rtnetlink } from "../src/netlink/route/rtnetlink.ts";
import { RECORDS_TYPE } from "../src/api/lookup_records.ts";
import type { Done, Listening, Order } from "./api_server.ts";
import { applyLoad, hasWrk, type Load } from "./api_wrk.ts";
import type { BenchOptions } from "./options.ts";
import { comparedRow, median, plainRow, type Row } from "./report.ts";
import { linesOf } from "./sync_lines.ts";

/** Packets of one lookup, as records and as JSON. */
const RECORDS = 16_384;
const PACKETS = 500;

const CONNECTIONS = 8;
/** Syncs of one timed part. */
const SYNCS = 5;

/** Runs the benchmark at the largest of the sizes. Needs root and wrk; iptables for that mode. */
export async function run({ rounds, seconds, services }: BenchOptions): Promise<Row[]> {
  if (!await hasWrk()) throw new Error("the api benchmark needs the program wrk");
  const folder = await Deno.makeTempDir({ prefix: "switchyard-bench-" });
  try {
    const size = Math.max(...services);
    const rows: Row[] = [];
    for (const mode of ["userspace", "iptables"] as const) {
      const server = await Server.start(mode, size, folder);
      try {
        rows.push(...await measure(server, mode, { size, rounds, seconds, folder }));
      } finally {
        await server.stop();
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
  readonly folder: string;
}

/** Something that is asked, and the bare route beside it. */
interface Case {
  readonly name: string;
  readonly unit: string;
  /** What one request counts. */
  readonly worth: number;
  readonly load: Omit<Load, "port" | "seconds" | "connections">;
}

async function casesOf({ size, folder }: Sizes): Promise<Case[]> {
  const records = `${folder}/records`;
  const json = `${folder}/packets`;
  await Deno.writeFile(records, recordsOf(size));
  await Deno.writeTextFile(json, JSON.stringify({ packets: packetsOf(size) }));
  const path = "/api/v1/lookup";
  return [
    { name: "explain", unit: "1/s", worth: 1, load: { request: explainRequest(size) } },
    {
      name: "lookup, records",
      unit: "packets/s",
      worth: RECORDS,
      load: { path, body: { file: records, type: RECORDS_TYPE } },
    },
    {
      name: "lookup, JSON",
      unit: "packets/s",
      worth: PACKETS,
      load: { path, body: { file: json, type: "application/json" } },
    },
  ];
}

async function measure(server: Server, mode: string, sizes: Sizes): Promise<Row[]> {
  const { size, rounds, seconds, folder } = sizes;
  const { namespace, listening: { port, barePort } } = server;
  const cases = await casesOf(sizes);
  const send = (load: Case["load"], port: number, time = seconds) =>
    applyLoad(namespace, folder, { ...load, port, connections: CONNECTIONS, seconds: time });
  const ours = cases.map((): number[] => []);
  const bare = cases.map((): number[] => []);
  const quiet: number[] = [];
  const busy = cases.map((): number[] => []);
  const memory = [(await server.ask({ action: "memory" })).rss / 1e6];
  for (let round = 0; round < rounds; round++) {
    quiet.push(await server.syncs());
    for (const [i, { load, worth }] of cases.entries()) {
      const answered = await send(load, port);
      ours[i].push(answered.rate * worth);
      await server.ask({ action: "bare", bytes: Math.round(answered.bytes) });
      const same = load.body === undefined ? { path: "/bare" } : { path: "/bare", body: load.body };
      bare[i].push((await send(same, barePort)).rate * worth);
      const under = send(load, port, seconds + 1);
      await new Promise((resolve) => setTimeout(resolve, 500));
      busy[i].push(await server.syncs());
      await under;
    }
    memory.push((await server.ask({ action: "memory" })).rss / 1e6);
  }
  const prefix = `${mode}, ${size} Services`;
  return [
    ...cases.map(({ name, unit }, i) =>
      comparedRow(`${prefix}/${name}`, unit, ours[i], "bare Hono route", bare[i])
    ),
    plainRow(`${prefix}/sync without load`, "ms", quiet),
    ...cases.map(({ name }, i) =>
      comparedRow(`${prefix}/sync under ${name}`, "ms", busy[i], "without load", quiet)
    ),
    plainRow(`${prefix}/memory before`, "MB", memory.slice(0, 1)),
    plainRow(`${prefix}/memory after load`, "MB", memory.slice(1)),
  ];
}

/** A server in a process and a network namespace of its own. */
class Server {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncGenerator<string>;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  #round = 0;

  private constructor(
    readonly namespace: NetworkNamespace,
    child: Deno.ChildProcess,
    lines: AsyncGenerator<string>,
    readonly listening: Listening,
  ) {
    this.#child = child;
    this.#lines = lines;
    this.#orders = child.stdin.getWriter();
  }

  static async start(mode: string, services: number, folder: string): Promise<Server> {
    const namespace = NetworkNamespace.create();
    const child = namespace.run(() => {
      using net = Rtnetlink.open();
      net.links.setUp("lo");
      return new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--allow-all",
          new URL("api_server.ts", import.meta.url).pathname,
          mode,
          `${services}`,
        ],
        env: { XTABLES_LOCKFILE: `${folder}/xtables.lock` },
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
    });
    const lines = linesOf(child.stdout);
    const { done, value } = await lines.next();
    if (done) throw new Error(`the server in ${mode} mode did not start`);
    return new Server(namespace, child, lines, JSON.parse(value));
  }

  async ask(order: Order): Promise<Done> {
    await this.#orders.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("the server ended");
    return JSON.parse(value);
  }

  /** The median of some syncs, milliseconds. */
  async syncs(): Promise<number> {
    const times: number[] = [];
    for (let i = 0; i < SYNCS; i++) {
      times.push((await this.ask({ action: "sync", round: this.#round++ })).ms);
    }
    return median(times);
  }

  async stop(): Promise<void> {
    await this.#orders.close();
    await this.#child.status;
    this.namespace.close();
  }
}

/** A pod's address, another for each question. */
const source = (i: number) => [10, 130, i >> 8 & 255, i & 255];
/** The cluster IP of Service `i` of the sync benchmark's cluster. */
const clusterIP = (i: number) => [10, i + 1 >> 16, i + 1 >> 8 & 255, i + 1 & 255];
/** Spreads questions over all Services. */
const serviceAt = (i: number, size: number) => i * 7919 % size;

function recordsOf(size: number): Uint8Array {
  const bytes = new Uint8Array(RECORDS * 40);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < RECORDS; i++) {
    const at = i * 40;
    bytes.set([0xff, 0xff, ...source(i)], at + 10);
    bytes.set([0xff, 0xff, ...clusterIP(serviceAt(i, size))], at + 26);
    view.setUint16(at + 34, 80, true);
    view.setUint8(at + 36, 6);
  }
  return bytes;
}

function packetsOf(size: number) {
  return Array.from({ length: PACKETS }, (_, i) => ({
    source: source(i).join("."),
    dest: clusterIP(serviceAt(i, size)).join("."),
    port: 80,
    protocol: "TCP",
  }));
}

/** Lua that asks about another Service from another pod each time. */
function explainRequest(size: number): string {
  return `local floor, i = math.floor, 0
request = function()
  i = i + 1
  local s = (i * 7919) % ${size} + 1
  return wrk.format("GET", string.format(
    "/api/v1/explain?source=10.130.%d.%d&dest=10.%d.%d.%d&port=80&protocol=TCP",
    floor(i / 256) % 256, i % 256, floor(s / 65536), floor(s / 256) % 256, s % 256))
end`;
}

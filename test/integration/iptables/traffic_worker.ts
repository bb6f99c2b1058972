/** A thread in the client's namespace that dials. @module */

import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { serveCalls } from "../../../src/rpc/worker_rpc.ts";
import { PATIENCE_MS } from "../../until.ts";

/** What became of a stream of connections. */
export interface Traffic {
  /** Connections that were answered, by the server that did. */
  readonly answered: Readonly<Record<string, number>>;
  /** Those that were not, one line each. */
  readonly failures: readonly string[];
}

/** Pause between two connections. */
const PAUSE_MS = 5;

let stopped = false;
let running: Promise<Traffic> | null = null;
let answers = 0;
const sockets = new Map<string, Deno.DatagramConn>();

async function dial(hostname: string, port: number): Promise<string> {
  const connection = await Deno.connect({
    hostname,
    port,
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  try {
    const buffer = new Uint8Array(64);
    const length = await connection.read(buffer) ?? 0;
    return new TextDecoder().decode(buffer.subarray(0, length));
  } finally {
    connection.close();
  }
}

async function dialOn(hostname: string, port: number): Promise<Traffic> {
  const answered: Record<string, number> = {};
  const failures: string[] = [];
  while (!stopped) {
    const before = tcpCounters();
    const begun = performance.now();
    try {
      const answer = await dial(hostname, port);
      answered[answer] = (answered[answer] ?? 0) + 1;
      answers++;
      const after = tcpCounters();
      if (after.get(REPEATED_SYNS) !== before.get(REPEATED_SYNS)) {
        const took = Math.round(performance.now() - begun);
        const counted = increases(before, after).join(", ");
        throw new Error(`${answer} answered only when it was asked again, ${took} ms: ${counted}`);
      }
    } catch (error) {
      failures.push(`${new Date().toISOString()} ${error}`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return { answered, failures };
}

/**
 * How often a first packet had to be sent again, which TCP does after a second (RFC 6298): it was not
 * forwarded. How long an answer takes says less, on a busy machine.
 */
const REPEATED_SYNS = "TCPSynRetrans";

/** What the kernel has counted of TCP in this namespace. */
function tcpCounters(): ReadonlyMap<string, number> {
  const [names, values] = Deno.readTextFileSync("/proc/thread-self/net/netstat").split("\n")
    .filter((line) => line.startsWith("TcpExt:")).map((line) => line.split(" "));
  return new Map(names.slice(1).map((name, i) => [name, Number(values[i + 1])]));
}

/** Counters that have grown in between, as "name +1". */
function increases(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): string[] {
  return [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
    .filter(([, more]) => more > 0).map(([name, more]) => `${name} +${more}`);
}

const methods = {
  /** Moves this thread into the namespace for good; comes before every other call. */
  enter(fd: number): void {
    NetworkNamespace.fromFd(fd).enter();
  },

  /** One TCP connection; the answer. */
  dial,

  /** Begins to make one TCP connection after the other. */
  begin(hostname: string, port: number): void {
    stopped = false;
    answers = 0;
    running = dialOn(hostname, port);
  },

  /** How many of them were answered until then. */
  answered: (): number => answers,

  /** Ends them. */
  async end(): Promise<Traffic> {
    stopped = true;
    return await running!;
  },

  /** Sends a datagram from a local port, always the same socket, and gives the answer or null. */
  async ask(localPort: number, hostname: string, port: number): Promise<string | null> {
    const key = String(localPort);
    let socket = sockets.get(key);
    if (socket === undefined) {
      const any = hostname.includes(":") ? "::" : "0.0.0.0";
      socket = Deno.listenDatagram({ transport: "udp", hostname: any, port: localPort });
      sockets.set(key, socket);
    }
    await socket.send(new Uint8Array([1]), { transport: "udp", hostname, port });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<null>((resolve) =>
      timer = setTimeout(() => resolve(null), PATIENCE_MS)
    );
    const answer = socket.receive().then(([data]) => new TextDecoder().decode(data));
    try {
      return await Promise.race([answer, silence]);
    } finally {
      clearTimeout(timer);
    }
  },
};

/** What the worker can be asked. */
export type TrafficMethods = typeof methods;

serveCalls(self as unknown as Worker, methods);

/**
 * The worker of userspace mode: owns the engine, the TUN device and the node's routing, all in the
 * node's network namespace. Between batches of packets it answers the calls in
 * {@link WorkerMethods}; while there are none it sleeps in poll(2) on the device and on the event
 * descriptor by which the caller wakes it.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { NODE_PORT_RANGE } from "../../cluster/control/node_ports.ts";
import { Engine, type EngineOptions } from "../../engine/engine.ts";
import type {
  BasedResult,
  Basis,
  ConntrackEntry,
  EngineCounters,
  LookupResult,
  PacketQuery,
  RecordAnswers,
} from "../../engine/handle.ts";
import { close, drainEvent, poll, polledEvents, pollSet } from "../../linux/libc.ts";
import { NetworkNamespace } from "../../linux/namespace.ts";
import { openTun, type TunDevice } from "../../linux/tun.ts";
import type { PlanChange } from "../../plan/plan.ts";
import { serveCalls } from "../../rpc/worker_rpc.ts";
import { messageOf } from "../../errors.ts";
import type { Difference } from "../dataplane.ts";
import { Icmpv6Errors } from "./icmpv6_errors.ts";
import { Pump } from "./pump.ts";
import type { PortRange, Transaction, UserspaceRules } from "./render.ts";
import { DEVICE_NAME } from "./own.ts";
import { reservePorts } from "./reserved_ports.ts";
import { NodeRouting } from "./routing.ts";

/** What the worker needs to start. */
export interface WorkerOptions {
  readonly wakeFd: number;
  readonly namespaceFd?: number;
  readonly masqueradePorts: PortRange;
  /** What the engine keeps of connections, and how long. */
  readonly tracking: Tracking;
  readonly seed: bigint;
}

/** How the engine tracks connections. */
export type Tracking = Pick<EngineOptions, "connections" | "tcpTimeouts" | "udpTimeouts">;

/** The calls that the worker answers. A type alias, as index signatures don't fit interfaces. */
export type WorkerMethods = {
  /** Returns what it has to do without, one line each. */
  start(options: WorkerOptions): string[];
  /** Lays the foundation again; what the node has on it, of this run or earlier ones. */
  renew(): UserspaceRules;
  /** What the node has of the rule set, and what others have done to its foundation. */
  inspect(): { rules: UserspaceRules; foundation: Difference[] };
  /** See {@link NodeRouting.lost}. */
  lost(): string | null;
  /** See {@link NodeRouting.hasAny}. */
  hasAny(addresses: readonly string[]): boolean;
  apply(change: PlanChange): void;
  /** See {@link NodeRouting.apply}. */
  program(transaction: Transaction): string[];
  lookup(queries: readonly PacketQuery[]): LookupResult[];
  lookupIfChanged(query: PacketQuery, known: Basis | null): BasedResult | null;
  lookupRecords(questions: Uint8Array): RecordAnswers;
  counters(): EngineCounters;
  conntrack(
    cursor: number,
    limit: number,
  ): { entries: ConntrackEntry[]; next: number | null };
  stop(): Promise<void>;
};

/** Batches between two looks at the event loop. */
const BATCHES_PER_TURN = 16;
/** Longest sleep, and so the period of conntrack expiry when idle. */
const IDLE_MS = 100;
/** Conntrack slots looked at in one expiry step, at least; all of them in a minute. */
const EXPIRY_BUDGET = 4096;
const EXPIRY_STEPS = 60_000 / IDLE_MS;

/** Where the socket for ICMPv6 errors is in the poll set. */
const ERRORS_PLACE = 2;

/** Calls that arrived, to be told from those only announced on the event descriptor. */
let arrived = 0;
self.addEventListener("message", () => arrived++);

const now = () => Math.floor(performance.now());

class Forwarder {
  readonly engine: Engine;
  readonly routing: NodeRouting;
  readonly #tun: TunDevice;
  readonly #pump: Pump;
  readonly #errors: Icmpv6Errors | null = null;
  /** What it does without, one line each. */
  readonly notes: string[] = [];
  readonly #wakeFd: number;
  #releasePorts = () => {};
  #stopping = false;
  readonly #stopped: Promise<void>;

  constructor(options: WorkerOptions) {
    if (options.namespaceFd !== undefined) {
      NetworkNamespace.fromFd(options.namespaceFd).enter();
    }
    this.#wakeFd = options.wakeFd;
    this.#tun = openTun({ name: DEVICE_NAME });
    this.routing = NodeRouting.open(this.#tun);
    this.engine = Engine.create({
      ...options.tracking,
      seed: options.seed,
      masqueradePorts: options.masqueradePorts,
      masqueradeAlways: true,
      retryBackends: true,
    });
    this.#pump = new Pump(this.engine, this.#tun.fd);
    try {
      this.#releasePorts = reservePorts([NODE_PORT_RANGE, options.masqueradePorts]);
    } catch (error) {
      this.notes.push(`the node's own connections may get ports of others: ${messageOf(error)}`);
    }
    try {
      if (this.routing.families.includes("IPv6")) this.#errors = Icmpv6Errors.open();
    } catch (error) {
      this.notes.push(
        `no ICMPv6 errors reach clients through Services, which takes CAP_NET_RAW: ${
          messageOf(error)
        }`,
      );
    }
    this.#stopped = this.#run();
  }

  /** The engine's, with what the kernel did not take of what was to go on. */
  counters(): EngineCounters {
    const counters = this.engine.counters();
    return { ...counters, dropped: { ...counters.dropped, ...this.#pump.refused } };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#stopped;
    this.routing.remove();
    this.#releasePorts();
    this.#errors?.close();
    close(this.#tun.fd);
  }

  async #run(): Promise<void> {
    const errors = this.#errors;
    const { limit } = this.engine.counters().connections;
    const budget = Math.max(EXPIRY_BUDGET, Math.ceil(limit / EXPIRY_STEPS));
    const set = pollSet([this.#tun.fd, this.#wakeFd, ...(errors === null ? [] : [errors.fd])]);
    let nextExpiry = now() + IDLE_MS;
    let announced = 0;
    while (!this.#stopping) {
      const time = now();
      let idle = false;
      for (let batch = 0; batch < BATCHES_PER_TURN && !idle; batch++) {
        idle = this.#pump.run(time) < this.#pump.batchSize;
      }
      // Who never sleeps is not told.
      if (errors !== null && (!idle || polledEvents(set, ERRORS_PLACE) !== 0)) {
        this.#pump.passErrors(errors, time);
      }
      if (time >= nextExpiry) {
        this.engine.expire(time, budget);
        nextExpiry = time + IDLE_MS;
      }
      // A call's message takes some turns of the event loop longer than its signal.
      const wait = announced > arrived ? 0 : IDLE_MS;
      if (idle && poll(set, wait) > 0) announced += drainEvent(this.#wakeFd);
      await setImmediate();
    }
  }
}

let forwarder: Forwarder | null = null;

function running(): Forwarder {
  if (forwarder === null) throw new Error("the userspace data plane has not been started");
  return forwarder;
}

const methods: WorkerMethods = {
  start(options) {
    forwarder = new Forwarder(options);
    return forwarder.notes;
  },
  renew() {
    const { routing } = running();
    routing.renew();
    return routing.read();
  },
  inspect() {
    const { routing } = running();
    return { rules: routing.read(), foundation: routing.differences() };
  },
  lost: () => running().routing.lost(),
  hasAny: (addresses) => running().routing.hasAny(addresses),
  apply: (change) => running().engine.apply(change),
  program: (transaction) => running().routing.apply(transaction),
  lookup: (queries) => running().engine.lookup(queries),
  lookupIfChanged: (query, known) => running().engine.lookupIfChanged(query, known),
  lookupRecords: (questions) => running().engine.lookupRecords(questions),
  counters: () => running().counters(),
  conntrack: (cursor, limit) => running().engine.conntrack(cursor, limit),
  async stop() {
    await running().stop();
    // The answer to this call must leave before the worker does.
    setTimeout(() => self.close());
  },
};

serveCalls(self as unknown as Parameters<typeof serveCalls>[0], methods);

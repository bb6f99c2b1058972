/**
 * userspace mode: the Wasm engine itself forwards. The node's routing sends Service traffic into a
 * TUN device; a worker pumps it through the engine and back.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { messageOf } from "../../errors.ts";
import type { EngineHandle } from "../../engine/handle.ts";
import { askInBatches } from "../../engine/records.ts";
import { close, eventfd, signalEvent } from "../../linux/libc.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import { connectWorker, type Remote } from "../../rpc/worker_rpc.ts";
import { type DataPlane, type Difference, type SentRules, sentRules } from "../dataplane.ts";
import { findDifferences } from "./drift.ts";
import { diff, MASQUERADE_PORTS, type PortRange, render, type UserspaceRules } from "./render.ts";
import { routingChange } from "./structure.ts";
import type { Tracking, WorkerMethods } from "./worker.ts";

const logger = getLogger(["switchyard", "userspace"]);

/** Records of a lookup that packets wait for: about a millisecond. */
const RECORDS_BETWEEN_PACKETS = 2048;

/** How to run userspace mode. */
export interface UserspaceOptions {
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Source ports of masqueraded connections (default {@link MASQUERADE_PORTS}). */
  readonly masqueradePorts?: PortRange;
  /** How many connections are kept, and how long (default: as the engine does). */
  readonly tracking?: Tracking;
  /** Makes the engine's choices repeatable; random by default. */
  readonly seed?: bigint;
  /** How often to look whether something of ours was lost, milliseconds (0, the default: never). */
  readonly watchPeriodMs?: number;
  /** The node is read and compared at least this often, milliseconds. */
  readonly fullSyncPeriodMs?: number;
  /** Called when a sync is needed though the plan is the same, because something was lost. */
  readonly requestSync?: () => void;
}

/** As in the modes that have rules. */
const FULL_SYNC_PERIOD_MS = 3_600_000;

/** userspace mode on one node. */
export class UserspaceDataPlane implements DataPlane {
  readonly mode = "userspace";
  readonly engine: EngineHandle;
  readonly broken: Promise<never>;
  readonly #remote: Remote<WorkerMethods>;
  readonly #wakeFd: number;
  readonly #options: UserspaceOptions;
  /** What the node has; null during a sync, and when that must be read from it. */
  #programmed: UserspaceRules | null = null;
  /** Something may be otherwise than it was left. */
  #doubtful = false;
  #fullSyncDue = 0;
  /** Addresses that the node does not have and should. */
  #missing: readonly string[] = [];
  #watchTimer: ReturnType<typeof setInterval> | undefined;
  #watching: Promise<void> = Promise.resolve();
  #sent: readonly SentRules[] = [];

  private constructor(
    remote: Remote<WorkerMethods>,
    broken: Promise<never>,
    wakeFd: number,
    options: UserspaceOptions,
  ) {
    this.#remote = remote;
    this.broken = broken;
    this.#wakeFd = wakeFd;
    this.#options = options;
    const period = options.watchPeriodMs ?? 0;
    if (period > 0) this.#watchTimer = setInterval(() => this.#watching = this.#watch(), period);
    this.engine = {
      apply: (change) => remote.apply(change),
      lookup: (queries) => remote.lookup(queries),
      lookupIfChanged: (query, known) => remote.lookupIfChanged(query, known),
      lookupRecords: (questions) =>
        askInBatches(remote.lookupRecords, questions, RECORDS_BETWEEN_PACKETS),
      counters: () => remote.counters(),
      conntrack: (cursor, limit) => remote.conntrack(cursor, limit),
    };
  }

  /**
   * Opens the TUN device and starts the pump; nothing is routed to it before the first sync. Needs
   * CAP_NET_ADMIN in the namespace, and CAP_SYS_ADMIN to enter another than its own. Rejects with
   * one line when the node refuses: no /dev/net/tun, no permission.
   */
  static async start(options: UserspaceOptions = {}): Promise<UserspaceDataPlane> {
    const wakeFd = eventfd();
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name: "userspace data plane",
    });
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => {});
    const remote = connectWorker<WorkerMethods>(worker, {
      wake: () => signalEvent(wakeFd),
      failed: broken.reject,
    });
    try {
      const notes = await remote.start({
        wakeFd,
        namespaceFd: options.namespaceFd,
        masqueradePorts: options.masqueradePorts ?? MASQUERADE_PORTS,
        tracking: options.tracking ?? {},
        seed: options.seed ?? crypto.getRandomValues(new BigUint64Array(1))[0],
      });
      for (const note of notes) logger.warn("{note}", { note });
    } catch (error) {
      worker.terminate();
      close(wakeFd);
      throw error;
    }
    return new UserspaceDataPlane(remote, broken.promise, wakeFd, options);
  }

  /**
   * The engine learns first and traffic follows, so no packet arrives that it cannot place. At first,
   * once an hour, for another node and when in doubt, the node is read and all of it put right.
   */
  async sync(plan: Plan, change: PlanChange): Promise<void> {
    const desired = render(plan, this.#options.masqueradePorts ?? MASQUERADE_PORTS);
    this.#sent = [];
    const due = change.node !== null || this.#doubtful || Date.now() >= this.#fullSyncDue;
    const known = due ? null : this.#programmed;
    this.#programmed = null;
    this.#doubtful = false;
    const current = known ?? await this.#remote.renew();
    this.#sent = [sentRouting(routingChange(current, desired))];
    await this.engine.apply(change);
    const missing = await this.#remote.program(diff(current, desired));
    for (const address of missing.filter((one) => !this.#missing.includes(one))) {
      logger.warn("the node's address {address} is on none of its links: no reply will reach it", {
        address,
      });
    }
    this.#missing = known === null ? missing : [...new Set([...this.#missing, ...missing])];
    if (known === null) {
      this.#fullSyncDue = Date.now() + (this.#options.fullSyncPeriodMs ?? FULL_SYNC_PERIOD_MS);
    }
    this.#programmed = desired;
  }

  /** Has the next sync put right what others took away, or what the node had not yet. */
  async #watch(): Promise<void> {
    await this.#watching;
    if (this.#programmed === null || this.#doubtful) return;
    try {
      const reason = await this.#remote.lost();
      if (reason !== null) logger.warn("{reason}; everything is compared", { reason });
      else if (this.#missing.length === 0 || !await this.#remote.hasAny(this.#missing)) return;
    } catch (error) {
      logger.warn("cannot look after the node: {error}", { error: messageOf(error) });
      return;
    }
    this.#doubtful = true;
    this.#options.requestSync?.();
  }

  sent(): readonly SentRules[] {
    return this.#sent;
  }

  /** Reads the routing that leads to the device; empty before the first sync and during one. */
  async differences(): Promise<readonly Difference[]> {
    while (this.#programmed !== null) {
      const desired = this.#programmed;
      const { rules, foundation } = await this.#remote.inspect();
      // What a sync changed meanwhile is no difference.
      if (this.#programmed === desired) return [...foundation, ...findDifferences(rules, desired)];
    }
    return [];
  }

  /**
   * Takes the routing back and closes the TUN device; connections through it end. Rejects when the
   * worker has broken down: the device ends with this process then, and the next start cleans up.
   */
  async stop(): Promise<void> {
    clearInterval(this.#watchTimer);
    await this.#watching;
    try {
      await this.#remote.stop();
    } finally {
      close(this.#wakeFd);
    }
  }
}

function sentRouting({ added, removed }: ReturnType<typeof routingChange>): SentRules {
  const lines = [...added.map((line) => `+ ${line}\n`), ...removed.map((line) => `- ${line}\n`)];
  return sentRules("routing", lines.length, lines.join(""));
}

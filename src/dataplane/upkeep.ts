/**
 * What data planes that program the kernel's tables have in common: a sync from its beginning to its
 * end, when everything has to be compared with the node, and looking after it between syncs.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { EngineHandle } from "../engine/handle.ts";
import { messageOf } from "../errors.ts";
import type { Family } from "../net/address.ts";
import type { Plan, PlanChange } from "../plan/plan.ts";
import { forgetStaleUdp } from "./conntrack/cleanup.ts";
import { touchesUdp } from "./conntrack/stale_udp.ts";
import type { DataPlaneObserver } from "./dataplane.ts";

/** As in kube-proxy, everything is compared at least every hour. */
const FULL_SYNC_PERIOD_MS = 3_600_000;
/** As in kube-proxy, how often the node is looked after. */
const WATCH_PERIOD_MS = 30_000;
/** How long further changes are waited for before one is looked at. */
const NOTICE_MS = 100;
/** How long nothing that is noticed is looked at again: whoever changes it may do so all the time. */
const NOTICE_PAUSE_MS = 5000;
/** Longer than an iptables-restore waits for the lock and, without more input, goes on. */
const CONFIRMATION_MS = 10_000;

/** When the node is looked at. */
export interface UpkeepOptions {
  /** The node is read and compared at least this often, milliseconds. */
  readonly fullSyncPeriodMs?: number;
  /** How often to look whether something of ours was lost, milliseconds; 0: never. */
  readonly watchPeriodMs?: number;
  /**
   * How long after the first sync the node is read again, milliseconds; 0: not then. What a proxy
   * that was killed has begun may still be carried out after we have read it.
   */
  readonly confirmationMs?: number;
  /** How far apart changes that are noticed are looked at, milliseconds. */
  readonly noticePauseMs?: number;
  /** Called when a sync is needed though the plan is the same, because something may be lost. */
  readonly requestSync?: () => void;
}

/** What a sync of one family tells. */
export interface SyncOutcome {
  readonly family: Family;
  /** The node was read and compared; else only what had changed was looked at. */
  readonly full: boolean;
  /** How much of the node was changed: 0 when it was as it should be. */
  readonly lines: number;
}

/** What a data plane programs of one family. */
export interface KeptFamily<Sync extends SyncOutcome> {
  readonly family: Family;
  /** The node may have anything: a change alone is not enough. */
  readonly doubtful: boolean;
  /** Has the next sync compare everything. */
  doubt(): void;
  /** Brings the node to the plan, whatever it has. */
  syncAll(plan: Plan): Promise<Sync>;
  /** Brings the node from the last synced plan to this one. */
  syncChange(plan: Plan, change: PlanChange): Promise<Sync>;
  /** What was lost of it on the node since the last sync, in words, or null. */
  lost(): Promise<string | null>;
}

/** What a data plane does besides. */
export interface UpkeepEffects<Sync extends SyncOutcome> {
  readonly logger: Logger;
  /** Answers queries; it learns each plan when the node has it. */
  readonly engine: Pick<EngineHandle, "apply">;
  /** Runs a synchronous function in the node's network namespace. */
  inside<T>(fn: () => T): T;
  /** Called before everything of a family is compared, unless that comes of a refusal. */
  beforeComparing?(plan: Plan): void;
  /** Told what a sync did in the families in which it succeeded. */
  synced(syncs: readonly Sync[]): void;
  /** Called when all families have the plan. */
  programmed?(plan: Plan): void;
  /** Whether a failure means that the node refused what it was sent, so that all is to be compared. */
  isRefusal(error: unknown): boolean;
}

/** Keeps the families of one node in step with the plan. */
export class Upkeep<Sync extends SyncOutcome> {
  readonly #families: readonly KeptFamily<Sync>[];
  readonly #options: UpkeepOptions;
  readonly #effects: UpkeepEffects<Sync>;
  #observer: DataPlaneObserver | null = null;
  #fullSyncDue = 0;
  #watchTimer: ReturnType<typeof setInterval> | undefined;
  #watching: Promise<void> = Promise.resolve();
  /** Null before the first sync. */
  #confirmationTimer: ReturnType<typeof setTimeout> | undefined | null = null;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;
  /** When what is noticed may be looked at, as performance.now() tells it. */
  #noticesAfter = 0;
  #stopped = false;

  /** Begins to look after the node. */
  constructor(
    families: readonly KeptFamily<Sync>[],
    options: UpkeepOptions,
    effects: UpkeepEffects<Sync>,
  ) {
    this.#families = families;
    this.#options = options;
    this.#effects = effects;
    const period = options.watchPeriodMs ?? WATCH_PERIOD_MS;
    if (period > 0) {
      this.#watchTimer = setInterval(() => this.#watching = this.#watch(), period);
    }
  }

  observe(observer: DataPlaneObserver): void {
    this.#observer = observer;
  }

  /**
   * Brings every family to the plan, then the engine; a failure of one family leaves the others
   * alone, and is thrown at the end instead, several as one.
   */
  async sync(plan: Plan, change: PlanChange): Promise<void> {
    const { syncs, failures } = await this.#syncFamilies(plan, change);
    this.#effects.synced(syncs);
    const renewed = syncs.some(({ full, lines }) => full && lines > 0);
    if (renewed || touchesUdp(change)) this.#forgetStaleUdp(plan, syncs);
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join("; "));
    this.#effects.programmed?.(plan);
    await this.#effects.engine.apply(change);
  }

  /**
   * Somebody else has changed what is ours of a family, so that it is compared soon; null: may have,
   * so that it is looked for what was lost.
   */
  noticed(family: Family | null): void {
    const kept = this.#families.find((one) => one.family === family);
    if (kept !== undefined && !kept.doubtful) {
      this.#effects.logger.warn("{family}: someone changed our rules; everything is compared", {
        family,
      });
    }
    // Of a sync that runs nobody knows whether it has seen the change.
    kept?.doubt();
    if (this.#stopped || this.#noticeTimer !== undefined) return;
    const wait = Math.max(NOTICE_MS, this.#noticesAfter - performance.now());
    this.#noticeTimer = setTimeout(() => this.#lookAtNotices(), wait);
  }

  /** Stops looking after the node, and waits for the end of a look that has begun. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#watchTimer);
    clearTimeout(this.#noticeTimer);
    clearTimeout(this.#confirmationTimer ?? undefined);
    this.#watchTimer = this.#confirmationTimer = undefined;
    await this.#watching;
  }

  async #syncFamilies(plan: Plan, change: PlanChange): Promise<{
    readonly syncs: readonly Sync[];
    readonly failures: readonly unknown[];
  }> {
    // At first, once an hour, and for another node.
    const due = change.node !== null || Date.now() >= this.#fullSyncDue;
    if (due || this.#families.some(({ doubtful }) => doubtful)) {
      this.#effects.beforeComparing?.(plan);
    }
    const syncs: Sync[] = [];
    const failures: unknown[] = [];
    for (const family of this.#families) {
      try {
        syncs.push(await this.#syncFamily(family, plan, due ? null : change));
      } catch (error) {
        failures.push(error);
      }
    }
    if (due && failures.length === 0) {
      this.#fullSyncDue = Date.now() + (this.#options.fullSyncPeriodMs ?? FULL_SYNC_PERIOD_MS);
      this.#confirmLater();
    }
    return { syncs, failures };
  }

  /**
   * Forgets UDP flows whose endpoint has gone, of the families that were synced. As in kube-proxy, what
   * fails here is not tried again before the next change.
   */
  #forgetStaleUdp(plan: Plan, synced: readonly SyncOutcome[]): void {
    const { logger, inside } = this.#effects;
    for (const { family } of synced) {
      const begun = performance.now();
      try {
        const deleted = inside(() => forgetStaleUdp(plan, [family]));
        const durationMs = performance.now() - begun;
        this.#observer?.conntrackReconciled({ family, deleted, durationMs });
        if (deleted > 0) logger.debug("{deleted} stale UDP flows were forgotten", { deleted });
      } catch (error) {
        logger.warn("stale UDP flows may be left: {error}", { error: messageOf(error) });
      }
    }
  }

  /** Sends a change, or everything when there is none, or when the node is not as it was left. */
  async #syncFamily(
    family: KeptFamily<Sync>,
    plan: Plan,
    change: PlanChange | null,
  ): Promise<Sync> {
    if (change !== null && !family.doubtful) {
      try {
        return await this.#attempt(family, false, () => family.syncChange(plan, change));
      } catch (error) {
        if (!this.#effects.isRefusal(error)) throw error;
        this.#effects.logger.warn("everything is compared, because: {error}", {
          error: messageOf(error),
        });
      }
    }
    return await this.#attempt(family, true, () => family.syncAll(plan));
  }

  /** Tells the observer how it went. */
  async #attempt(
    { family }: KeptFamily<Sync>,
    full: boolean,
    sync: () => Promise<Sync>,
  ): Promise<Sync> {
    const begun = performance.now();
    const tell = (ok: boolean, refused: boolean) => {
      const durationMs = performance.now() - begun;
      this.#observer?.attempted({ family, full, ok, refused, durationMs });
    };
    try {
      const done = await sync();
      tell(true, false);
      return done;
    } catch (error) {
      tell(false, this.#effects.isRefusal(error));
      throw error;
    }
  }

  /** After the first sync, has one more compare everything. */
  #confirmLater(): void {
    if (this.#confirmationTimer !== null) return;
    this.#confirmationTimer = undefined;
    const wait = this.#options.confirmationMs ?? CONFIRMATION_MS;
    if (wait === 0) return;
    this.#confirmationTimer = setTimeout(() => {
      this.#fullSyncDue = 0;
      this.#options.requestSync?.();
    }, wait);
  }

  #lookAtNotices(): void {
    this.#noticeTimer = undefined;
    this.#noticesAfter = performance.now() + (this.#options.noticePauseMs ?? NOTICE_PAUSE_MS);
    if (this.#families.some(({ doubtful }) => doubtful)) this.#options.requestSync?.();
    this.#watching = this.#watch();
  }

  async #watch(): Promise<void> {
    await this.#watching;
    const { logger } = this.#effects;
    for (const kept of this.#families) {
      if (kept.doubtful) continue;
      const { family } = kept;
      try {
        const reason = await kept.lost();
        if (reason === null) continue;
        logger.warn("{family}: {reason}; everything is compared", { family, reason });
      } catch (error) {
        logger.warn("cannot look after the node: {error}", { error: messageOf(error) });
        continue;
      }
      kept.doubt();
      this.#options.requestSync?.();
    }
  }
}

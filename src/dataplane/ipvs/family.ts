/**
 * Everything of ipvs mode in one IP family on one node, kept in step with the plan.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import { type Difference, type RenderProblem, type SentRules, sentRules } from "../dataplane.ts";
import type { RulesAccess } from "../iptables/apply.ts";
import type { TableDiff } from "../iptables/diff.ts";
import type { NodeRules } from "../iptables/read.ts";
import type { SyncOutcome } from "../upkeep.ts";
import type { StateChange } from "./change.ts";
import { DesiredState } from "./desired.ts";
import { diffStates } from "./diff.ts";
import { findDifferences } from "./drift.ts";
import type { Kernel } from "./kernel.ts";
import { LeavingServers } from "./leaving.ts";
import type { Times } from "./leaving_times.ts";
import type { IpvsOptions } from "./options.ts";
import { readNode } from "./read.ts";
import { diffNodeRules, diffRules, readTables } from "./rules.ts";
import { RefusedError } from "./refusal.ts";
import { NodeSender, type SendOptions } from "./send.ts";
import { type IpvsState, serverName } from "./state.ts";

/** What one sync did in one family. */
export interface IpvsSync extends SyncOutcome {
  /** Messages to IPVS, entries of sets, addresses, and lines of rules. */
  readonly lines: number;
  /** Services left out, of those that were rendered. */
  readonly problems: readonly RenderProblem[];
  /** What others had changed since the last sync, now put right. */
  readonly drift: readonly Difference[];
}

/** What a node has in one family. */
export interface NodeReading {
  /** What is ours. */
  readonly state: IpvsState;
  /** iptables-save's text of all tables. */
  readonly saved: string;
}

/** How a family is kept. */
export interface FamilyOptions extends SendOptions {
  /** Networks whose virtual servers are left alone. */
  readonly excludeCIDRs: readonly string[];
}

/** Keeps one family. */
export class FamilyIpvs {
  readonly family: Family;
  readonly #kernel: Kernel;
  readonly #rules: RulesAccess;
  readonly #options: FamilyOptions;
  readonly #leaving: LeavingServers;
  readonly #sender: NodeSender;
  /** What the node was last brought to, or is about to be; null before the first sync. */
  #desired: DesiredState | null = null;
  /** Names of virtual servers that the node may have of ours, from syncs that did not succeed. */
  readonly #uncertain = new Set<string>();
  /** What other links have, as of the last full sync. */
  #elsewhere: readonly string[] = [];
  /** Real servers that the kernel refused with these addresses: see `IpvsOptions`. */
  readonly #refusedReals = new Set<string>();
  #sent: SentRules;
  #doubtful = true;
  /** Doubt came up during the sync that runs. */
  #doubtedAgain = false;
  /** The sync that runs; null when none does. */
  #running: Promise<unknown> | null = null;
  /** Syncs that have begun. */
  #begun = 0;

  constructor(
    family: Family,
    kernel: Kernel,
    rules: RulesAccess,
    options: FamilyOptions,
    now?: () => number,
    since?: Times,
  ) {
    this.family = family;
    this.#kernel = kernel;
    this.#rules = rules;
    this.#options = options;
    this.#leaving = new LeavingServers(family, now, since);
    this.#sender = new NodeSender(
      { family, kernel, rules },
      options,
      this.#leaving,
      this.#refusedReals,
    );
    this.#sent = sentRules(family, 0, "");
  }

  /** What the node has as of the last successful sync. */
  get state(): IpvsState | null {
    return this.#desired?.state ?? null;
  }

  /** What the last sync sent, if it did not fail before that. */
  get sent(): SentRules {
    return this.#sent;
  }

  /** Whether the next sync has to read the node. */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /** How many real servers wait for their last connection. */
  get leaving(): number {
    return this.#leaving.size;
  }

  /** Since when they wait. */
  get leavingSince(): Times {
    return this.#leaving.times;
  }

  /** Has the next sync read the node. */
  doubt(): void {
    this.#doubtful = this.#doubtedAgain = true;
  }

  /**
   * Brings the node to the plan by reading what it has and sending what is different. Done again
   * without the real servers that the kernel refuses, so that they spoil nothing else.
   */
  async syncAll(plan: Plan, options: IpvsOptions): Promise<IpvsSync> {
    const former = this.#doubtful ? null : this.#desired;
    return await this.#run(async () => {
      try {
        return await this.#syncAll(plan, options, former);
      } catch (error) {
        if (!(error instanceof RefusedError && error.learnt)) throw error;
        return await this.#syncAll(plan, options, null);
      }
    });
  }

  async #syncAll(
    plan: Plan,
    options: IpvsOptions,
    former: DesiredState | null,
  ): Promise<IpvsSync> {
    this.#kernel.ensureDevice();
    const tables = readTables(await this.#rules.read(this.family), this.family);
    const { elsewhere } = this.#kernel.addresses(this.family);
    if (!sameItems(elsewhere, this.#elsewhere)) this.#refusedReals.clear();
    const { desired, problems } = DesiredState.of(plan, this.family, {
      ...options,
      otherAddresses: new Set(elsewhere),
      refusedReals: this.#refusedReals,
    });
    const node = this.#read(tables, this.#desired, desired);
    const drift = former === null ? [] : this.#differences(node, tables, former.state);
    for (const name of this.#desired?.serverNames ?? []) this.#uncertain.add(name);
    this.#desired = desired;
    this.#elsewhere = elsewhere;
    this.#leaving.clear();
    const wanted = desired.state;
    this.#sender.createSets(node, wanted);
    const change = diffStates(node, wanted);
    const rules = diffNodeRules(tables, wanted.rules, this.family);
    const lines = await this.#send(change, rules, wanted.addresses);
    return { family: this.family, full: true, lines, problems, drift };
  }

  /** Brings the node from the last synced plan to this one by sending what changed. */
  async syncChange(change: PlanChange): Promise<IpvsSync> {
    const desired = this.#desired;
    if (desired === null || this.#doubtful) {
      throw new Error("a change of a state that is not known");
    }
    return await this.#run(() => this.#syncChange(change, desired));
  }

  async #syncChange(change: PlanChange, desired: DesiredState): Promise<IpvsSync> {
    const { change: step, problems } = desired.apply(change);
    for (const { before, after } of step.servers) {
      this.#uncertain.add(serverName((before ?? after)!.key));
    }
    const rules = step.rules === null ? [] : diffRules(step.rules.before, step.rules.after);
    const lines = await this.#send(step, rules, desired);
    return { family: this.family, full: false, lines, problems, drift: [] };
  }

  /** Removes real servers whose last connection is over; how many still wait. */
  settle(): number {
    this.#leaving.settle(this.#kernel, this.#options.gracefulDeadlineMs);
    return this.#leaving.size;
  }

  /** What the node has now. */
  async read(): Promise<NodeReading> {
    const saved = await this.#readBetweenSyncs();
    const tables = readTables(saved, this.family);
    return { saved, state: this.#read(tables, this.#desired, null) };
  }

  /** What others have changed since the last sync. */
  async differences(): Promise<readonly Difference[]> {
    const tables = readTables(await this.#readBetweenSyncs(), this.family);
    const desired = this.#desired;
    if (desired === null) return [];
    return this.#differences(this.#read(tables, desired, null), tables, desired.state);
  }

  /**
   * Whether something has been removed that a look at the device, the list of virtual servers and the
   * sizes of the sets tells, without reading each of them.
   */
  wasEmptied(): boolean {
    if (this.#desired === null || this.#doubtful) return false;
    return this.#desired.isEmptied(
      this.#kernel.addresses(this.family).onDevice,
      this.#kernel.servers(),
      this.#kernel.setSizes(),
    );
  }

  /** Whether other links have got or lost addresses since the last full sync. */
  addressesChanged(): boolean {
    return !sameItems(this.#kernel.addresses(this.family).elsewhere, this.#elsewhere);
  }

  /** Until it has succeeded, a sync leaves the node in a state that is not known. */
  async #run<T>(sync: () => Promise<T>): Promise<T> {
    this.#sent = sentRules(this.family, 0, "");
    this.#doubtful = true;
    this.#doubtedAgain = false;
    this.#begun++;
    const running = sync();
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = null;
    }
  }

  /** The node's rules, of a moment in which what else it has is read, too, before any sync. */
  async #readBetweenSyncs(): Promise<string> {
    while (true) {
      await this.#running?.catch(() => {});
      const begun = this.#begun;
      const saved = await this.#rules.read(this.family);
      if (this.#running === null && this.#begun === begun) return saved;
    }
  }

  #read(
    tables: NodeRules,
    former: DesiredState | null,
    next: DesiredState | null,
  ): IpvsState {
    return readNode(this.#kernel, tables, this.family, {
      known: new Set([
        ...this.#uncertain,
        ...former?.serverNames ?? [],
        ...next?.serverNames ?? [],
      ]),
      excluded: this.#options.excludeCIDRs,
    });
  }

  #differences(
    node: IpvsState,
    tables: NodeRules,
    desired: IpvsState,
  ): readonly Difference[] {
    return findDifferences(node, tables, desired, this.#leaving);
  }

  async #send(
    change: StateChange,
    rules: readonly TableDiff[],
    wanted: { has(address: string): boolean },
  ): Promise<number> {
    const known = this.#refusedReals.size;
    const { sent, refused } = await this.#sender.send(change, rules, wanted, this.#desired!);
    this.#sent = sent;
    if (refused.length > 0) {
      throw new RefusedError(this.family, refused, this.#refusedReals.size > known);
    }
    this.#doubtful = this.#doubtedAgain;
    this.#uncertain.clear();
    this.#leaving.complete();
    return sent.lines;
  }
}

function sameItems(one: readonly string[], other: readonly string[]): boolean {
  return new Set(one).symmetricDifference(new Set(other)).size === 0;
}

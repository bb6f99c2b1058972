/**
 * Everything of ipvs mode in one IP family on one node, kept in step with the plan.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { IpvsChange } from "../../netlink/generic/ipvs.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import { type Difference, type RenderProblem, type SentRules, sentRules } from "../dataplane.ts";
import type { RulesAccess } from "../iptables/apply.ts";
import { countLines, type TableDiff } from "../iptables/diff.ts";
import type { NodeRules } from "../iptables/read.ts";
import { transactionText } from "../iptables/transaction_text.ts";
import type { SyncOutcome } from "../upkeep.ts";
import type { ServerChange, StateChange } from "./change.ts";
import { DesiredState } from "./desired.ts";
import { diffStates } from "./diff.ts";
import { findDifferences } from "./drift.ts";
import type { Kernel } from "./kernel.ts";
import { LeavingServers } from "./leaving.ts";
import type { Times } from "./leaving_times.ts";
import { SET_CAPACITY, setCapacity } from "./names.ts";
import type { IpvsOptions } from "./options.ts";
import { readNode } from "./read.ts";
import { changeText } from "./sent.ts";
import { diffNodeRules, diffRules, readTables } from "./rules.ts";
import { isDone, RefusedError, refusedReal } from "./refusal.ts";
import { drains, serverId, serverMessages } from "./servers.ts";
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
export interface FamilyOptions {
  /** This node's name. */
  readonly node: string;
  /** Networks whose virtual servers are left alone. */
  readonly excludeCIDRs: readonly string[];
  /** When real servers go though they have connections, milliseconds; 0: never. */
  readonly gracefulDeadlineMs: number;
}

/** Keeps one family. */
export class FamilyIpvs {
  readonly family: Family;
  readonly #kernel: Kernel;
  readonly #rules: RulesAccess;
  readonly #options: FamilyOptions;
  readonly #leaving: LeavingServers;
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
    this.#createSets(node, wanted);
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

  #createSets(current: IpvsState, desired: IpvsState): void {
    for (const set of desired.sets.values()) {
      if (!current.sets.has(set.name)) this.#kernel.createSet(set, this.family);
      const capacity = setCapacity(set.entries.length);
      if (capacity > SET_CAPACITY) this.#kernel.enlargeSet(set, this.family, capacity);
    }
  }

  /**
   * In an order in which what leads somewhere comes after where it leads: sets, servers, rules,
   * addresses; and what goes, the other way round. Goes on after a refusal, and then throws what was
   * refused.
   */
  async #send(
    change: StateChange,
    rules: readonly TableDiff[],
    wanted: { has(address: string): boolean },
  ): Promise<number> {
    const refused: string[] = [];
    const known = this.#refusedReals.size;
    let count = this.#changeMembers(change, "added", refused);
    const gone: ServerChange[] = [];
    count += this.#changeServers(change.servers, wanted, gone, refused);
    const text = transactionText(rules, this.#rules.chainLimit);
    if (text !== null) await this.#rules.restore(this.family, text);
    count += rules.reduce((sum, diff) => sum + countLines(diff), 0);
    const { added, removed } = change.addresses;
    if (added.length + removed.length > 0) {
      refused.push(...this.#kernel.changeAddresses(change.addresses));
    }
    this.#removeServers(gone, refused);
    count += added.length + removed.length + gone.length;
    count += this.#changeMembers(change, "removed", refused);
    this.#sent = sentRules(this.family, count, changeText(change, text, this.family));
    if (refused.length > 0) {
      throw new RefusedError(this.family, refused, this.#refusedReals.size > known);
    }
    this.#doubtful = this.#doubtedAgain;
    this.#uncertain.clear();
    this.#leaving.complete();
    return count;
  }

  #changeMembers(
    { sets }: StateChange,
    part: "added" | "removed",
    refused: string[],
  ): number {
    let count = 0;
    for (const [name, change] of sets) {
      if (change[part].length === 0) continue;
      const type = this.#desired!.setType(name);
      refused.push(...this.#kernel.changeSet({ name, type }, { [part]: change[part] }));
      count += change[part].length;
    }
    return count;
  }

  /** Everything but virtual servers that go at once, which it puts into `gone`. */
  #changeServers(
    servers: readonly ServerChange[],
    wanted: { has(address: string): boolean },
    gone: ServerChange[],
    refused: string[],
  ): number {
    const changes: IpvsChange[] = [];
    const settling: string[] = [];
    for (const { before: known, after } of servers) {
      const name = serverName((after ?? known)!.key);
      const before = this.#leaving.present(name, known);
      // Where the address stays, so may connections: only a Service that goes takes them with it.
      const last = after === null && before !== null && drains(before) &&
        before.realServers.length > 0 && isWanted(before.key, wanted);
      if (after === null && !last) {
        this.#leaving.forget(name);
        gone.push({ before, after });
        continue;
      }
      const target = after ?? { ...before!, realServers: [] };
      const messages = serverMessages(before, target, this.family, this.#options.node);
      changes.push(...messages.changes);
      this.#leaving.put(target, messages.leaving, last);
      if (messages.leaving.length > 0) settling.push(name);
    }
    this.#carryOut(changes, refused);
    this.#leaving.settle(this.#kernel, this.#options.gracefulDeadlineMs, settling);
    return changes.length;
  }

  #removeServers(gone: readonly ServerChange[], refused: string[]): void {
    const changes = gone.map(({ before }): IpvsChange => ({
      verb: "remove",
      server: serverId(before!.key, this.family),
    }));
    this.#carryOut(changes, refused);
  }

  #carryOut(changes: readonly IpvsChange[], refused: string[]): void {
    this.#kernel.changeServers(changes).forEach((error, i) => {
      if (error === null || isDone(changes[i], error)) return;
      refused.push(error.message);
      const real = refusedReal(changes[i], error);
      if (real !== null) this.#refusedReals.add(real);
    });
  }
}

function isWanted(
  key: Parameters<typeof serverName>[0],
  wanted: { has(address: string): boolean },
): boolean {
  return "address" in key && wanted.has(key.address);
}

function sameItems(one: readonly string[], other: readonly string[]): boolean {
  return new Set(one).symmetricDifference(new Set(other)).size === 0;
}

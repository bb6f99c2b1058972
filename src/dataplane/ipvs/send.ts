/**
 * Sends to a node what it has otherwise than it should, in an order in which packets always find
 * where to go.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { IpvsChange } from "../../netlink/generic/ipvs.ts";
import { type SentRules, sentRules } from "../dataplane.ts";
import type { RulesAccess } from "../iptables/apply.ts";
import { countLines, type TableDiff } from "../iptables/diff.ts";
import { transactionText } from "../iptables/transaction_text.ts";
import type { ServerChange, StateChange } from "./change.ts";
import type { DesiredState } from "./desired.ts";
import type { Kernel } from "./kernel.ts";
import type { LeavingServers } from "./leaving.ts";
import { SET_CAPACITY, setCapacity } from "./names.ts";
import { isDone, refusedReal } from "./refusal.ts";
import { changeText } from "./sent.ts";
import { drains, serverId, serverMessages } from "./servers.ts";
import { type IpvsState, serverName } from "./state.ts";

/** How changes are sent. */
export interface SendOptions {
  /** This node's name. */
  readonly node: string;
  /** When real servers go though they have connections, milliseconds; 0: never. */
  readonly gracefulDeadlineMs: number;
}

/** Where they go. */
export interface SendTarget {
  readonly family: Family;
  readonly kernel: Kernel;
  readonly rules: RulesAccess;
}

/** Sends the changes of one family. */
export class NodeSender {
  readonly #family: Family;
  readonly #kernel: Kernel;
  readonly #rules: RulesAccess;
  readonly #options: SendOptions;
  readonly #leaving: LeavingServers;
  readonly #refusedReals: Set<string>;

  /** @param refusedReals gets the real servers that the kernel refuses: see `IpvsOptions`. */
  constructor(
    { family, kernel, rules }: SendTarget,
    options: SendOptions,
    leaving: LeavingServers,
    refusedReals: Set<string>,
  ) {
    this.#family = family;
    this.#kernel = kernel;
    this.#rules = rules;
    this.#options = options;
    this.#leaving = leaving;
    this.#refusedReals = refusedReals;
  }

  /** Makes the sets that are missing, and room in those that have too little. */
  createSets(current: IpvsState, desired: IpvsState): void {
    for (const set of desired.sets.values()) {
      if (!current.sets.has(set.name)) this.#kernel.createSet(set, this.#family);
      const capacity = setCapacity(set.entries.length);
      if (capacity > SET_CAPACITY) this.#kernel.enlargeSet(set, this.#family, capacity);
    }
  }

  /**
   * What leads somewhere comes after where it leads: sets, servers, rules, addresses; and what goes,
   * the other way round. Goes on after a refusal. Returns what was sent, and what of it was refused.
   *
   * @param wanted whether an address is to be the node's
   * @param desired knows the types of sets
   */
  async send(
    change: StateChange,
    rules: readonly TableDiff[],
    wanted: { has(address: string): boolean },
    desired: Pick<DesiredState, "setType">,
  ): Promise<{ readonly sent: SentRules; readonly refused: readonly string[] }> {
    const refused: string[] = [];
    let count = this.#changeMembers(change, "added", desired, refused);
    const gone: ServerChange[] = [];
    count += this.#changeServers(change.servers, wanted, gone, refused);
    const text = transactionText(rules, this.#rules.chainLimit);
    if (text !== null) await this.#rules.restore(this.#family, text);
    count += rules.reduce((sum, diff) => sum + countLines(diff), 0);
    const { added, removed } = change.addresses;
    if (added.length + removed.length > 0) {
      refused.push(...this.#kernel.changeAddresses(change.addresses));
    }
    this.#removeServers(gone, refused);
    count += added.length + removed.length + gone.length;
    count += this.#changeMembers(change, "removed", desired, refused);
    const sent = sentRules(this.#family, count, changeText(change, text, this.#family));
    return { sent, refused };
  }

  #changeMembers(
    { sets }: StateChange,
    part: "added" | "removed",
    desired: Pick<DesiredState, "setType">,
    refused: string[],
  ): number {
    let count = 0;
    for (const [name, change] of sets) {
      if (change[part].length === 0) continue;
      const type = desired.setType(name);
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
      const messages = serverMessages(before, target, this.#family, this.#options.node);
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
      server: serverId(before!.key, this.#family),
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

/**
 * From the lines of a history file to the state that they amount to.
 *
 * @module
 */

import type { NodeInfo, ServicePlan } from "../plan/plan.ts";
import { FORMAT, type HistoryLine } from "./codec.ts";
import { keptBytes, type KeptEntry, type PastState } from "./history.ts";

/** Puts lines together. What is behind the last entry without an entry of its own is left out. */
export class PastReader {
  readonly #entries: KeptEntry[] = [];
  readonly #services = new Map<string, ServicePlan>();
  #node: NodeInfo | null = null;
  #nextId = 1;
  #pending = new Map<string, ServicePlan | null>();
  #pendingNode: NodeInfo | null = null;
  #first = true;

  /**
   * Takes the next line. `false`: it does not belong there, and what follows cannot be trusted.
   * `"whole"`: what was taken so far is a state of its own.
   */
  take(line: HistoryLine): boolean | "whole" {
    if (this.#first) {
      this.#first = false;
      return "format" in line && line.format === FORMAT;
    }
    if ("service" in line) {
      this.#pending.set(`${line.service.namespace}/${line.service.name}`, line.service);
    } else if ("gone" in line) {
      this.#pending.set(line.gone, null);
    } else if ("node" in line) {
      this.#pendingNode = line.node;
    } else if ("base" in line) {
      this.#nextId = line.base;
      this.#apply();
      return "whole";
    } else if ("entry" in line) {
      if (line.entry.id !== this.#nextId) return false;
      this.#nextId++;
      const nodeBefore = line.entry.node ? this.#node : null;
      const before = this.#apply();
      this.#entries.push({ entry: line.entry, before, nodeBefore, bytes: 0 });
      return "whole";
    } else if ("outcome" in line) {
      const last = this.#entries.at(-1);
      if (last?.entry.id !== line.outcome.id) return false;
      last.entry = { ...last.entry, ...line.outcome };
      return "whole";
    } else {
      return false;
    }
    return true;
  }

  #apply(): Map<string, ServicePlan | null> {
    const before = new Map<string, ServicePlan | null>();
    for (const [key, plan] of this.#pending) {
      before.set(key, this.#services.get(key) ?? null);
      if (plan === null) this.#services.delete(key);
      else this.#services.set(key, plan);
    }
    this.#node = this.#pendingNode ?? this.#node;
    this.#pending = new Map();
    this.#pendingNode = null;
    return before;
  }

  /** What there is. */
  get past(): PastState {
    for (const kept of this.#entries) kept.bytes = keptBytes(kept);
    return {
      entries: this.#entries,
      node: this.#node,
      services: this.#services,
      nextId: this.#nextId,
    };
  }
}

/**
 * Looks now and then whether the node is as it should be, while someone wants to know.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Difference } from "../../dataplane/dataplane.ts";
import { type EventHub, MOST_LISTED } from "./hub.ts";
import { messageOf } from "../../errors.ts";

const logger = getLogger(["switchyard", "api"]);

/** Rules that an event has of one difference. */
const MOST_RULES = 10;

/** Tells a hub of drift: when it is found, when it becomes another, and when it is gone. */
export class DriftWatch {
  #told = "[]";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watching = false;

  /** @param read see NodeView.differences; absent: there is never anything to tell. */
  constructor(
    private readonly hub: EventHub,
    private readonly read: (() => Promise<readonly Difference[]>) | undefined,
    private readonly periodMs: number,
  ) {}

  /** Takes what anyone found. */
  found(differences: readonly Difference[]): void {
    const listed = differences.slice(0, MOST_LISTED).map((difference) => ({
      ...difference,
      found: difference.found.slice(0, MOST_RULES),
      expected: difference.expected.slice(0, MOST_RULES),
    }));
    const now = JSON.stringify(listed);
    if (now === this.#told) return;
    this.#told = now;
    this.hub.publish({ type: "drift", differences: listed, total: differences.length });
  }

  /** Begins to look, or ends. */
  watch(wanted: boolean): void {
    this.#watching = wanted && this.read !== undefined;
    clearTimeout(this.#timer);
    if (this.#watching) this.#timer = setTimeout(() => this.#look(), this.periodMs);
  }

  async #look(): Promise<void> {
    try {
      this.found(await this.read!());
    } catch (error) {
      const why = messageOf(error);
      logger.warn("cannot look for drift: {why}", { why });
    }
    if (this.#watching) this.watch(true);
  }
}

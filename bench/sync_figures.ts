/**
 * Figures of the sync benchmark, and the rows that they become.
 *
 * @module
 */

import { comparedRow, plainRow, type Row } from "./report.ts";
import type { Reply } from "./sync_contender.ts";

/** A proxy that follows the cluster by itself. */
export type Proxy = "switchyard" | "kube-proxy";
/** What is measured of each of them. */
export type SyncStep = "first sync" | "endpoint changed" | "Service added" | "Service deleted";

const STEPS: readonly SyncStep[] = [
  "first sync",
  "endpoint changed",
  "Service added",
  "Service deleted",
];
/**
 * What only one does: making the text of all rules, giving it to a program, and adding one
 * rule in a chain of its own, which is what any change with a new rule costs at least: nf_tables
 * validates the whole table for it (nft_chain_validate), legacy iptables copies it out and back in.
 */
export type AloneStep = "render" | "rewrite" | "floor";

const UNITS: Readonly<Record<string, (reply: Reply) => number>> = {
  ms: ({ seconds }) => seconds * 1000,
  "ms CPU": ({ cpu }) => cpu * 1000,
  lines: ({ lines }) => lines,
  MB: ({ peak }) => peak / 1e6,
};
const UNIT_NAMES = Object.keys(UNITS);

/** What was measured of one cluster, round by round. */
export class SyncFigures {
  /** By case and variant; the order is that of the rounds. */
  readonly #replies = new Map<string, Reply[]>();
  readonly #alone: Readonly<Record<AloneStep, string>>;

  /** @param program what takes the text of all rules. */
  constructor(
    /** Begins the name of each row. */
    readonly cluster: string,
    program: string,
  ) {
    this.#alone = {
      render: "render/switchyard",
      rewrite: `all rules rewritten/${program}`,
      floor: `floor, one rule added/${program}`,
    };
  }

  /** One round's figure of a proxy. */
  add(step: SyncStep, proxy: Proxy, reply: Reply): void {
    this.#add(`${step}/${proxy}`, reply);
  }

  /** One round's figure of something that only one contender does. */
  addAlone(name: AloneStep, reply: Reply): void {
    this.#add(this.#alone[name], reply);
  }

  #add(name: string, reply: Reply): void {
    const replies = this.#replies.get(name);
    if (replies === undefined) this.#replies.set(name, [reply]);
    else replies.push(reply);
  }

  /**
   * Ours with the ratio to kube-proxy's where that ran, then kube-proxy's own. A changed endpoint is
   * compared with rewriting all rules too, and every change with adding one rule. Memory is the most
   * that the process had until then.
   */
  rows(): Row[] {
    const { rewrite } = this.#alone;
    return [
      ...this.#rows(this.#alone.render, ["ms", "lines"]),
      ...STEPS.flatMap((step) => [
        ...this.#rows(`${step}/switchyard`, UNIT_NAMES, `${step}/kube-proxy`, "kube-proxy"),
        ...this.#rows(`${step}/kube-proxy`, UNIT_NAMES),
      ]),
      ...this.#comparisons(
        "endpoint changed/switchyard",
        ["ms", "lines"],
        rewrite,
        "rewriting all rules",
      ),
      ...this.#rows(rewrite, ["ms", "lines"]),
      ...STEPS.slice(1).flatMap((step) =>
        this.#comparisons(`${step}/switchyard`, ["ms"], this.#alone.floor, "adding one rule")
      ),
      ...this.#rows(this.#alone.floor, ["ms"]),
    ];
  }

  #rows(name: string, units: readonly string[], other = "", against = ""): Row[] {
    const compared = this.#comparisons(name, units, other, against);
    if (compared.length > 0) return compared;
    const replies = this.#replies.get(name) ?? [];
    if (replies.length === 0) return [];
    return units.map((unit) => plainRow(`${this.cluster}/${name}`, unit, replies.map(UNITS[unit])));
  }

  /** Ratios of the rounds in which both took part; nothing when there are none. */
  #comparisons(name: string, units: readonly string[], other: string, against: string): Row[] {
    const ours = this.#replies.get(name) ?? [];
    const theirs = this.#replies.get(other) ?? [];
    const rounds = Math.min(ours.length, theirs.length);
    if (rounds === 0) return [];
    return units.map((unit) => {
      const [a, b] = [ours, theirs].map((replies) => replies.map(UNITS[unit]));
      const title = `${this.cluster}/${name}`;
      return {
        ...comparedRow(title, unit, a.slice(0, rounds), against, b.slice(0, rounds)),
        ...plainRow(title, unit, a),
      };
    });
  }
}

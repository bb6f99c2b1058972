/**
 * What is asked and what is answered, whatever the rules come from.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";

/** A packet, normally the first of a connection. Addresses are canonical. */
export interface Flow {
  /** What the answer is called. */
  readonly name: string;
  readonly source: string;
  /** Absent: any. */
  readonly sourcePort?: number;
  readonly dest: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** What connection tracking says of it; absent: NEW, a connection's first packet. */
  readonly state?: ConnectionState;
}

/** What connection tracking says of a packet. */
export type ConnectionState = "NEW" | "ESTABLISHED" | "RELATED" | "INVALID" | "UNTRACKED";

/**
 * `FORWARD`: sent to a backend; `REJECT`: refused with an answer; `DROP`: silently dropped;
 * `PASS`: no Service rule applies, the packet goes on as it is.
 */
export type Verdict = "FORWARD" | "REJECT" | "DROP" | "PASS";

/** Where a connection may end up. */
export interface AnswerBackend {
  readonly address: string;
  readonly port: number;
  readonly probability: number;
  /** Whether the source is rewritten on the way to this backend. */
  readonly masquerade: boolean;
}

/** Something that happened to the packet on the way, or a condition that was assumed not to hold. */
export interface Step {
  /** netfilter's hook, PREROUTING for example; null for what happens outside of hooks. */
  readonly hook: string | null;
  /** "ipvs" where a virtual server acts; chain is then its name, and rule the real server's place. */
  readonly table: string | null;
  readonly chain: string | null;
  /** 1-based number of the rule in its chain, as `iptables -L --line-numbers` counts; null: no rule. */
  readonly rule: number | null;
  /** 1-based line in the text that was read. */
  readonly line: number | null;
  /** The rule, or what else acted. */
  readonly text: string;
  /** What it did. */
  readonly action: string;
}

/** One of the ways that a packet may go. */
export interface Outcome {
  readonly verdict: Verdict;
  /** The backend of a FORWARD; null for all others. */
  readonly backend: { readonly address: string; readonly port: number } | null;
  readonly masquerade: boolean;
  readonly probability: number;
  /** The steps that lead there: indexes into {@link Answer.steps}. */
  readonly steps: readonly number[];
}

/**
 * A rule that mattered and could not be decided, or a virtual server about which something is not
 * known: table is then "ipvs", and chain what the virtual server is called.
 */
export interface UnknownRule {
  readonly table: string;
  readonly chain: string;
  readonly rule: number | null;
  readonly line: number | null;
  readonly text: string;
  readonly reason: string;
}

/** Where a flow goes, and why. */
export interface Answer {
  readonly name: string;
  /** FORWARD when any outcome is; otherwise that of the likeliest outcome. */
  readonly verdict: Verdict;
  /** "namespace/name" or "namespace/name:port"; null when no rule on the way names one. */
  readonly service: string | null;
  /** Together 1, or less when some outcomes are refused or dropped: see {@link outcomes}. */
  readonly backends: readonly AnswerBackend[];
  /** Whether the packet leaves with another source address, whichever backend it gets. */
  readonly masquerade: boolean;
  /** Every step of every outcome, in the order in which they are first met. */
  readonly steps: readonly Step[];
  /** The distinct ends; their probabilities add up to 1. */
  readonly outcomes: readonly Outcome[];
  /** When not empty, everything else is only so far as the rules are known. */
  readonly unknown: readonly UnknownRule[];
}

/** An answer of which only what it comes to counts, not its single ends. */
export type AnswerInShort = Omit<Answer, "outcomes">;

/** What an answer rests on of who sends the packet. */
export interface SenderQuestions {
  /**
   * Whether a packet that differs in nothing but its source gets the same answer, word for word, the
   * name aside: of the same rules, on the same node, which is the caller's to know. An answer that
   * names the source is nobody else's. Costs as much as the few questions that rules asked of the
   * source, with ours about a microsecond.
   *
   * @param source canonical.
   * @param sourcePort absent: any.
   */
  sameFor(source: string, sourcePort?: number): boolean;
}

/** An answer, and for whom else it is one. */
export interface Answered<Said extends AnswerInShort = Answer> {
  readonly answer: Said;
  readonly sender: SenderQuestions;
}

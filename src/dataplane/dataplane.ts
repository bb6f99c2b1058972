/**
 * What every data plane is to the agent.
 *
 * @module
 */

import type { EngineHandle } from "../engine/handle.ts";
import type { Family } from "../net/address.ts";
import type { Plan, PlanChange } from "../plan/plan.ts";

/** The values of `--proxy-mode`. */
export type ProxyMode = "iptables" | "ipvs" | "nftables" | "userspace";

/** A Service that a data plane leaves out, as nothing can be made of it. */
export interface RenderProblem {
  /** "namespace/name". */
  readonly service: string;
  readonly message: string;
}

/** A part of the node that is not as it should be. */
export interface Difference {
  /** What it is, in the words of the mode: "IPv4 nat KUBE-SERVICES", "route 10.96.0.1". */
  readonly where: string;
  /** "changed" with nothing found or expected: the order is another. */
  readonly problem: "missing" | "unexpected" | "changed";
  /** What is there and should not be. */
  readonly found: readonly string[];
  /** What should be there and is not. */
  readonly expected: readonly string[];
}

/** What a sync sent to the node. */
export interface SentRules {
  /** What it is a part of: an IP family, or "routing". */
  readonly where: string;
  readonly lines: number;
  /** As it was sent, or in words, cut to {@link MOST_SENT} characters. */
  readonly text: string;
  readonly cut: boolean;
}

/** Characters that are kept of what was sent. */
export const MOST_SENT = 1 << 16;

/** Keeps the beginning of a text, and lets go of the rest. */
export function sentRules(where: string, lines: number, text: string): SentRules {
  const cut = text.length > MOST_SENT;
  // A slice of a string holds all of it; bytes don't.
  const kept = cut
    ? new TextDecoder().decode(new TextEncoder().encode(text.slice(0, MOST_SENT)))
    : text;
  return { where, lines, text: kept, cut };
}

/** What bringing one IP family to the plan was, or the attempt to. */
export interface FamilyAttempt {
  readonly family: Family;
  /** Everything was compared; else only what had changed was looked at. */
  readonly full: boolean;
  readonly ok: boolean;
  /** It failed because what was sent to the node was not taken. */
  readonly refused: boolean;
  readonly durationMs: number;
}

/** Is told what a data plane does, for metrics. */
export interface DataPlaneObserver {
  /** A sync tried to bring a family to the plan. */
  attempted(attempt: FamilyAttempt): void;
  /** UDP flows to endpoints that are gone were forgotten. */
  conntrackReconciled(done: {
    readonly family: Family;
    readonly deleted: number;
    readonly durationMs: number;
  }): void;
}

/** Programs a node. */
export interface DataPlane {
  readonly mode: ProxyMode;
  /** The engine that carries the packets (userspace mode) or answers for them (all others). */
  readonly engine: EngineHandle;
  /** Brings the node from the last synced plan to this one. A failed sync may be tried again. */
  sync(plan: Plan, change: PlanChange): Promise<void>;
  /**
   * Reads the node and says what of it is not as the last successful sync left it. Absent where
   * nothing can be read.
   */
  differences?(): Promise<readonly Difference[]>;
  /** What the last sync sent, also one that failed. Absent where nothing is ever sent. */
  sent?(): readonly SentRules[];
  /** Tells who is to be told from now on. Absent where there is nothing to tell. */
  observe?(observer: DataPlaneObserver): void;
  /**
   * Rejects when the data plane breaks down outside any call, such that only a new one can help;
   * never resolves. Absent where that cannot happen.
   */
  readonly broken?: Promise<never>;
  /** Stops serving and gives back what only a running process can hold. */
  stop(): Promise<void>;
}

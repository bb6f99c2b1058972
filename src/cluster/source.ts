/**
 * Where cluster state comes from: the interface between a source and everything after it.
 *
 * @module
 */

import type { ClusterObject } from "./objects.ts";

/** An object that is there now, in this form, or that is gone (`object` is its last form). */
export interface ClusterChange {
  readonly action: "apply" | "delete";
  readonly object: ClusterObject;
}

/** Something in the input that could not be used; the rest of the input still is. */
export interface ClusterProblem {
  /** File (with line, where known) or API path. */
  readonly where: string;
  /** "Kind namespace/name", when the object could be identified. */
  readonly object?: string;
  /** Path of the field, as in spec.ports[0].port. */
  readonly field?: string;
  /** What was wrong and what was expected, one line. */
  readonly message: string;
}

/** Receives what a source finds. Calls never overlap. */
export interface ClusterListener {
  /**
   * A batch of changes that belong together. The first batch is the complete initial state (it may
   * be empty): nothing is programmed before it.
   */
  changed(changes: readonly ClusterChange[]): void;
  /** The problems that the input has *now*; replaces those reported before. */
  problems(problems: readonly ClusterProblem[]): void;
}

/** A stream of cluster state. */
export interface ClusterSource {
  /**
   * Delivers the initial state and then follows changes until the signal aborts. Resolves then, or
   * at once after the initial state when the source cannot change (standard input, say). Rejects
   * only if the initial state cannot be had at all.
   */
  run(listener: ClusterListener, signal: AbortSignal): Promise<void>;
}

/** One line for a problem: `where: object: field: message`, leaving out what is unknown. */
export function formatProblem(problem: ClusterProblem): string {
  return [problem.where, problem.object, problem.field, problem.message]
    .filter((part) => part !== undefined && part !== "").join(": ");
}

/**
 * Where cluster state comes from: the interface between a source and everything after it.
 *
 * @module
 */

import type { ClusterObject } from "./objects.ts";
import type { ManifestObject } from "./schema/object.ts";

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

/** What a user wrote, and where. */
export interface WrittenObject {
  readonly object: ManifestObject;
  readonly where: string;
}

/** What a cluster would be otherwise. */
export interface ImaginedCluster {
  readonly changes: readonly ClusterChange[];
  /** Problems that the input does not have now. */
  readonly problems: readonly ClusterProblem[];
  /** Pods that would be new, and get addresses that a cluster's network may choose otherwise. */
  readonly newPods: number;
}

/** A cluster whose control plane is at hand, so that one can ask what it would do. */
export interface SimulatedCluster {
  /** Whether its users have written an object, by "Kind namespace/name". */
  has(identity: string): boolean;
  /**
   * What would change if its users wrote objects, or took some of theirs away. Nothing is kept of it.
   *
   * @param deleted "Kind namespace/name" of each.
   */
  imagine(written: readonly WrittenObject[], deleted: ReadonlySet<string>): ImaginedCluster;
}

/** A stream of cluster state. */
export interface ClusterSource {
  /** Absent where the cluster's own controllers decide about pods and endpoints. */
  readonly simulated?: SimulatedCluster;

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

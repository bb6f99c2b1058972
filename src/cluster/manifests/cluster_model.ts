/** The state that a sequence of readings of the manifests amounts to. @module */

import {
  type Allocations,
  type ClusterState,
  computeState,
  type ControlPlaneOptions,
  NO_ALLOCATIONS,
} from "../control/control_plane.ts";
import { identityOfObject, type Located } from "../control/located.ts";
import {
  type ClusterProblem,
  formatProblem,
  type ImaginedCluster,
  type SimulatedCluster,
  type WrittenObject,
} from "../source.ts";
import type { DecodedFile } from "./decode.ts";
import { byIdentity, changesBetween } from "./diff.ts";
import { type FileObjects, withLastGood } from "./last_good.ts";

/** Problems beyond this number are counted, not listed. */
const MAX_PROBLEMS = 1000;

/** Turns each reading into a state, with regard to the one before. No effects. */
export class ClusterModel implements SimulatedCluster {
  readonly #options: ControlPlaneOptions;
  #files: FileObjects = new Map();
  #accepted: ReadonlyMap<string, Located> = new Map();
  #allocations: Allocations = NO_ALLOCATIONS;
  /** What the state was made of, by identity. */
  #used: ReadonlyMap<string, Located> = new Map();
  #state: Pick<ClusterState, "objects" | "pods" | "problems"> = NOTHING;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
  }

  /** The state after a new reading of all files. */
  update(files: readonly DecodedFile[]): ClusterState {
    this.#files = withLastGood(files, this.#files);
    const input = [...this.#files.values()].flat();
    const asGiven = computeState(input, this.#options, this.#allocations);
    const { used, state } = this.#withAccepted(input, asGiven);
    this.#allocations = state.allocations;
    this.#used = firstOfEach(used);
    this.#state = state;
    this.#accepted = new Map(
      used.map((located) => [identityOfObject(located.object), located] as const)
        .filter(([identity]) => !state.refused.has(identity)).reverse(),
    );
    const reported = [...files.flatMap(({ problems }) => problems), ...asGiven.problems];
    return { ...state, problems: distinct([...reported, ...state.problems]) };
  }

  has(identity: string): boolean {
    return this.#used.has(identity);
  }

  imagine(written: readonly WrittenObject[], deleted: ReadonlySet<string>): ImaginedCluster {
    const input = new Map(this.#used);
    for (const located of written) input.set(identityOfObject(located.object), located);
    for (const identity of deleted) input.delete(identity);
    const { objects, pods, problems } = computeState(
      [...input.values()],
      this.#options,
      this.#allocations,
    );
    const known = new Set(this.#state.problems.map(formatProblem));
    const there = new Set(this.#state.pods.map(identityOfObject));
    return {
      changes: changesBetween(byIdentity(this.#state.objects), byIdentity(objects)),
      problems: problems.filter((problem) => !known.has(formatProblem(problem))),
      newPods: pods.filter((pod) => !there.has(identityOfObject(pod))).length,
    };
  }

  /** An object that is refused as it is now stays as it was last accepted. */
  #withAccepted(
    input: readonly Located[],
    asGiven: ClusterState,
  ): { used: readonly Located[]; state: ClusterState } {
    const stays = (located: Located) => {
      const identity = identityOfObject(located.object);
      return asGiven.refused.has(identity) ? this.#accepted.get(identity) : undefined;
    };
    if (!input.some((located) => stays(located) !== undefined)) {
      return { used: input, state: asGiven };
    }
    const used = input.map((located) => stays(located) ?? located);
    return { used, state: computeState(used, this.#options, this.#allocations) };
  }
}

const NOTHING = { objects: [], pods: [], problems: [] };

/** By identity, in order; of several with one, the first, which is the one that counts. */
function firstOfEach(input: readonly Located[]): Map<string, Located> {
  const first = new Map<string, Located>();
  for (const located of input) {
    const identity = identityOfObject(located.object);
    if (!first.has(identity)) first.set(identity, located);
  }
  return first;
}

/** Each problem once, and no more than anyone would read. */
function distinct(problems: readonly ClusterProblem[]): ClusterProblem[] {
  const all = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  const listed = [...all.values()].slice(0, MAX_PROBLEMS);
  const rest = all.size - listed.length;
  return rest === 0
    ? listed
    : [...listed, { where: "manifests", message: `${rest} more problems` }];
}

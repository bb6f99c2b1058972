/**
 * The objects of one collection as the API server last told them, compact and validated.
 *
 * @module
 */

import { type ClusterObject, type Metadata, objectKey } from "../objects.ts";
import { decodeObject } from "../schema/object.ts";
import { formatPath } from "../schema/issues.ts";
import type { ClusterChange, ClusterProblem } from "../source.ts";
import { PackedSlice } from "./packed_slice.ts";
import type { Resource } from "./resources.ts";

/** An object as it came: usable, or only what is wrong with it. */
export interface Received {
  readonly key: string;
  /** Null: it cannot be used. */
  readonly object: ClusterObject | null;
  readonly problems: readonly ClusterProblem[];
}

const NO_PROBLEMS: readonly ClusterProblem[] = [];

/**
 * Reads an object of a list or a watch; the API leaves kind and apiVersion out in lists. What is in
 * the store in the same version is not read again. Null when it has no name, by which it could be
 * told from others.
 */
export function receive(raw: unknown, resource: Resource, store: ObjectStore): Received | null {
  const named = identify(raw);
  if (named === null) return null;
  const key = objectKey(named);
  const known = store.get(key);
  if (known !== undefined && sameVersion(known, named)) {
    return { key, object: known, problems: NO_PROBLEMS };
  }
  const { kind, apiVersion } = resource;
  const decoded = decodeObject({ ...(raw as Record<string, unknown>), kind, apiVersion });
  if (decoded.outcome === "object") {
    return { key, object: compact(decoded.object as ClusterObject), problems: NO_PROBLEMS };
  }
  const issues = decoded.outcome === "broken" ? decoded.issues : [];
  const problems = issues.map(({ path, message }): ClusterProblem => ({
    where: resource.path,
    object: `${kind} ${key}`,
    field: path.length === 0 ? undefined : formatPath(path),
    message,
  }));
  return { key, object: null, problems };
}

/** What tells an object from others, and its versions from one another; null when that is amiss. */
function identify(raw: unknown): { readonly metadata: Metadata } | null {
  const { metadata } = (raw ?? {}) as {
    readonly metadata?: Partial<Record<string, unknown>> | null;
  };
  const { name, namespace, uid, resourceVersion } = metadata ?? {};
  if (typeof name !== "string" || name === "") return null;
  const texts = [namespace, uid, resourceVersion];
  if (!texts.every((text) => text === undefined || typeof text === "string")) return null;
  return { metadata: { name, namespace, uid, resourceVersion } as Metadata };
}

/** The form in which an object is kept. */
function compact(object: ClusterObject): ClusterObject {
  return object.kind === "EndpointSlice" ? new PackedSlice(object) : object;
}

/**
 * Objects by key, and what is wrong with those that cannot be used. An object that becomes unusable
 * stays as it last was, until it is usable again or gone.
 */
export class ObjectStore {
  #objects = new Map<string, ClusterObject>();
  #problems = new Map<string, readonly ClusterProblem[]>();

  /** The objects that are there now. */
  get objects(): Iterable<ClusterObject> {
    return this.#objects.values();
  }

  get(key: string): ClusterObject | undefined {
    return this.#objects.get(key);
  }

  /** What is wrong with the objects that are there now. */
  problems(): ClusterProblem[] {
    return [...this.#problems.values()].flat();
  }

  hasProblems(key: string): boolean {
    return this.#problems.has(key);
  }

  /** Takes an object in; the change that this is, or null if nothing changes. */
  apply(received: Received): ClusterChange | null {
    const { key, object, problems } = received;
    if (object === null) {
      this.#problems.set(key, problems);
      return null;
    }
    this.#problems.delete(key);
    const before = this.#objects.get(key);
    if (before !== undefined && sameVersion(before, object)) return null;
    this.#objects.set(key, object);
    return { action: "apply", object };
  }

  /** Takes an object out; the change that this is, or null if it was not there. */
  remove(key: string): ClusterChange | null {
    this.#problems.delete(key);
    const object = this.#objects.get(key);
    if (object === undefined) return null;
    this.#objects.delete(key);
    return { action: "delete", object };
  }

  /** Takes in a complete list; what is not on it is gone. Deletions come first. */
  replace(list: ReadonlyMap<string, Received>): ClusterChange[] {
    const changes: ClusterChange[] = [];
    for (const key of [...this.#objects.keys(), ...this.#problems.keys()]) {
      const change = list.has(key) ? null : this.remove(key);
      if (change !== null) changes.push(change);
    }
    for (const received of list.values()) {
      const change = this.apply(received);
      if (change !== null) changes.push(change);
    }
    return changes;
  }
}

interface Versioned {
  readonly metadata: { readonly uid?: string; readonly resourceVersion?: string };
}

/** Whether two forms of a name are one version of one object. */
function sameVersion(one: Versioned, other: Versioned): boolean {
  const version = one.metadata.resourceVersion;
  return version !== undefined && version === other.metadata.resourceVersion &&
    one.metadata.uid === other.metadata.uid;
}

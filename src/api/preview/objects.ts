/**
 * What a preview is asked about: Kubernetes objects to add or change, and names of those to delete,
 * as changes of the cluster's state. What the API server would fill in, or keep of an object that is
 * there already, is filled in and kept likewise.
 *
 * @module
 */

import { identityOfObject, type Located } from "../../cluster/control/located.ts";
import type { Service } from "../../cluster/objects.ts";
import { itemsOf } from "../../cluster/manifests/decode.ts";
import { formatPath } from "../../cluster/schema/issues.ts";
import { decodeObject } from "../../cluster/schema/object.ts";
import { type ClusterChange, formatProblem } from "../../cluster/source.ts";
import { admitServices, type Registry } from "./admission.ts";
import { plannedConsequences, simulatedConsequences } from "./controllers.ts";
import { type Deletion, type Present, understandDeletions } from "./deletions.ts";

/** What is to be tried. */
export interface Wishes {
  /** Kubernetes JSON, Lists included. */
  readonly objects: readonly unknown[];
  readonly deletions: readonly Deletion[];
}

/** The cluster that it is tried on. */
export type Ground = Registry & Present;

/** Changes, and what was made of the wishes besides. */
export interface UnderstoodWishes {
  readonly changes: readonly ClusterChange[];
  /** What cannot be had, one line each; the rest is in the changes. */
  readonly problems: readonly string[];
  /** Fields that the API server would decide, and what was taken for them, one line each. */
  readonly assumed: readonly string[];
  /** "Kind namespace/name" of objects that do not concern the plan. */
  readonly ignored: readonly string[];
}

/** An object that is none: one line, and the path of the field in the wishes. */
export class WishError extends Error {
  override readonly name = "WishError";

  constructor(readonly field: string, message: string) {
    super(message);
  }
}

/** Lists within lists are taken apart up to this depth. */
const MAX_LIST_DEPTH = 8;

/** @throws {WishError} when an object cannot be understood. */
export function understandWishes(wishes: Wishes, ground: Ground): UnderstoodWishes {
  const { given, ignored } = decodeAll(wishes.objects);
  const deletions = understandDeletions(wishes.deletions, ground);
  const isService = (located: Located): located is Located<Service> =>
    located.object.kind === "Service";
  const admitted = admitServices(given.filter(isService), ground, deletions.identities);
  const written = [...given.filter((located) => !isService(located)), ...admitted.services];
  const { simulated, plan } = ground;
  const { changes, problems, assumed } = simulated === undefined
    ? plannedConsequences(written, plan)
    : simulatedConsequences(simulated, written, deletions.identities);
  return {
    changes: [
      ...deletions.objects.map((object): ClusterChange => ({ action: "delete", object })),
      ...changes,
    ],
    problems: [...deletions.problems, ...admitted.problems, ...problems].map(formatProblem),
    assumed: [...admitted.assumed, ...assumed],
    ignored,
  };
}

function decodeAll(objects: readonly unknown[]): { given: Located[]; ignored: string[] } {
  const ignored: string[] = [];
  const given: Located[] = [];
  const seen = new Set<string>();
  for (const [index, input] of objects.entries()) {
    for (const located of decode(input, `objects[${index}]`, 0, ignored)) {
      const identity = identityOfObject(located.object);
      if (seen.has(identity)) {
        throw new WishError(located.where, `${identity} is given twice, expected it once`);
      }
      seen.add(identity);
      given.push(located);
    }
  }
  return { given, ignored };
}

function decode(
  input: unknown,
  where: string,
  depth: number,
  ignored: string[],
): Located[] {
  const items = itemsOf(input);
  if (items !== null) {
    if (depth === MAX_LIST_DEPTH) {
      throw new WishError(where, `expected at most ${MAX_LIST_DEPTH} Lists within Lists`);
    }
    return items.flatMap((item, i) => decode(item, `${where}.items[${i}]`, depth + 1, ignored));
  }
  const decoded = decodeObject(input);
  if (decoded.outcome === "broken") {
    const [{ path, message }] = decoded.issues;
    const field = formatPath(path);
    const shown = [decoded.identity, field, message].filter((part) => part).join(": ");
    throw new WishError(field === "" ? where : `${where}.${field}`, shown);
  }
  if (decoded.outcome === "ignored") {
    ignored.push(decoded.kind);
    return [];
  }
  const { object } = decoded;
  if (object.kind === "Ingress" || object.kind === "ServiceCIDR") {
    ignored.push(identityOfObject(object));
    return [];
  }
  return [{ object, where }];
}

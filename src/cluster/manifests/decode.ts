/** A manifest file to validated objects and problems. @module */

import { getLogger } from "@logtape/logtape";
import type { Located } from "../control/located.ts";
import { decodeObject, identityOf } from "../schema/object.ts";
import { formatPath } from "../schema/issues.ts";
import type { ClusterProblem } from "../source.ts";
import { type LineOf, readDocuments } from "./documents.ts";
import type { ManifestFile } from "./files.ts";

const logger = getLogger(["switchyard", "manifests"]);

/** What a file holds. */
export interface DecodedFile {
  readonly name: string;
  readonly objects: readonly Located[];
  readonly problems: readonly ClusterProblem[];
  /** Identities ("Kind namespace/name") of objects that are there but broken. */
  readonly broken: ReadonlySet<string>;
  /** Some part of the file is so broken that one cannot tell which objects it holds. */
  readonly unreadable: boolean;
}

/** Problems of one file beyond this number are counted, not listed. */
const MAX_PROBLEMS = 100;
/** Lists within lists are flattened up to this depth. */
const MAX_LIST_DEPTH = 8;

/** Decodes a file; what is wrong with one object does not touch the others. */
export async function decodeFile(file: ManifestFile): Promise<DecodedFile> {
  const { name } = file;
  if ("error" in file) {
    const problems = [{ where: name, message: file.error }];
    return { name, objects: [], problems, broken: new Set(), unreadable: true };
  }
  const decoder = new Decoder(name);
  for await (const document of readDocuments(file.text)) {
    if ("error" in document) decoder.unreadable(document.line, document.error);
    else await decoder.add(document.value, document.lineOf, [], 0);
  }
  return decoder.finish();
}

class Decoder {
  readonly #name: string;
  readonly #objects: Located[] = [];
  readonly #problems: ClusterProblem[] = [];
  readonly #broken = new Set<string>();
  readonly #ignored = new Map<string, number>();
  #unreadable = false;
  #unlisted = 0;

  constructor(name: string) {
    this.#name = name;
  }

  unreadable(line: number, message: string): void {
    this.#report({ where: `${this.#name}:${line}`, message });
    this.#unreadable = true;
  }

  #report(problem: ClusterProblem): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
    else this.#unlisted++;
  }

  async add(
    value: unknown,
    lineOf: LineOf,
    path: readonly (string | number)[],
    depth: number,
  ): Promise<void> {
    const items = itemsOf(value);
    if (items !== null && depth < MAX_LIST_DEPTH) {
      for (const [index, item] of items.entries()) {
        await this.add(item, lineOf, [...path, "items", index], depth + 1);
      }
      return;
    }
    const decoded = decodeObject(value);
    if (decoded.outcome === "ignored") {
      this.#ignored.set(decoded.kind, (this.#ignored.get(decoded.kind) ?? 0) + 1);
    } else if (decoded.outcome === "object") {
      this.#objects.push({
        object: decoded.object,
        where: `${this.#name}:${await lineOf(path)}`,
      });
    } else {
      const { identity, issues } = decoded;
      for (const issue of issues) {
        this.#report({
          where: `${this.#name}:${await lineOf([...path, ...issue.path])}`,
          object: identity,
          field: formatPath(issue.path),
          message: issue.message,
        });
      }
      if (identity?.includes(" ")) this.#broken.add(identity);
      else this.#unreadable = true;
    }
  }

  finish(): DecodedFile {
    for (const [kind, count] of this.#ignored) {
      logger.debug("{file}: {count} of kind {kind} ignored", { file: this.#name, count, kind });
    }
    if (this.#unlisted > 0) {
      this.#problems.push({ where: this.#name, message: `${this.#unlisted} more problems` });
    }
    return {
      name: this.#name,
      objects: this.#objects,
      problems: this.#problems,
      broken: this.#broken,
      unreadable: this.#unreadable,
    };
  }
}

/**
 * The items of a `List` or typed list (ServiceList, EndpointSliceList …), or null for other values.
 * The items of a typed list, as an API server returns it, take their kind from the list.
 */
export function itemsOf(value: unknown): unknown[] | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { apiVersion, kind, items } = value as Record<string, unknown>;
  if (typeof kind !== "string" || !kind.endsWith("List")) return null;
  if (items === null || items === undefined) return [];
  if (!Array.isArray(items)) return null;
  if (kind === "List") return items;
  const itemKind = kind.slice(0, -"List".length);
  return items.map((item) =>
    identityOf(item ?? {}) === undefined && typeof item === "object"
      ? { apiVersion, ...item, kind: itemKind }
      : item
  );
}

/**
 * The objects that `preview` is asked about: manifests as they are written, and names.
 *
 * @module
 */

import { DELETED_KINDS, type Deletion } from "../api/preview/deletions.ts";
import { type LineOf, readDocuments } from "../cluster/manifests/documents.ts";
import { readManifestFiles } from "../cluster/manifests/files.ts";
import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";

/** Objects as Kubernetes JSON, not validated. */
export interface WantedObjects {
  readonly objects: readonly unknown[];
  /** A message of the API, with "file:line" or the flag in place of what it begins with. */
  named(message: string): Promise<string>;
}

/**
 * The documents of files and folders, in order.
 *
 * @throws {UsageError} naming the file and the line.
 */
export async function readObjects(paths: readonly string[]): Promise<WantedObjects> {
  const objects: unknown[] = [];
  const places: Place[] = [];
  for (const path of paths) {
    for (const file of await filesAt(path)) {
      if ("error" in file) throw new UsageError(`--apply: ${file.name}: ${file.error}`);
      for await (const document of readDocuments(file.text)) {
        if ("error" in document) {
          throw new UsageError(`--apply: ${file.name}:${document.line}: ${document.error}`);
        }
        objects.push(document.value);
        places.push({ file: file.name, lineOf: document.lineOf });
      }
    }
  }
  return { objects, named: (message) => named(message, places) };
}

/** Where an object is written. */
interface Place {
  readonly file: string;
  readonly lineOf: LineOf;
}

async function named(message: string, places: readonly Place[]): Promise<string> {
  const found = message.match(/^objects\[(\d+)\]\.?([^ :]*): (.*)$/s);
  const place = found === null ? undefined : places.at(Number(found[1]));
  if (place === undefined) return message.replace(/^delete\[\d+\](?=:)/, "--delete");
  const [, , path, rest] = found!;
  const line = await place.lineOf(segmentsOf(path));
  // The field may be said once more, behind the object that has it.
  const field = rest.match(/^[A-Z]\w* \S+: ([^ :]+): /)?.[1];
  const isSaid = path === "" || (field !== undefined && path.endsWith(field));
  return `${place.file}:${line}: ${isSaid ? "" : `${path}: `}${rest}`;
}

/** "spec.ports[0].port" in its parts. */
function segmentsOf(path: string): (string | number)[] {
  return Array.from(
    path.matchAll(/\[(\d+)\]|([^.[]+)/g),
    ([, index, name]) => index === undefined ? name : Number(index),
  );
}

async function filesAt(path: string) {
  try {
    return await readManifestFiles(path);
  } catch (error) {
    throw new UsageError(`--apply: ${messageOf(error)}`);
  }
}

/** What kubectl also calls the kinds. */
const SHORT_NAMES: Readonly<Record<string, Deletion["kind"]>> = {
  svc: "Service",
  ep: "Endpoints",
  no: "Node",
  po: "Pod",
  deploy: "Deployment",
  rs: "ReplicaSet",
  sts: "StatefulSet",
  ds: "DaemonSet",
};

/** An object from its name. @throws {UsageError} */
export function namedDeletion(text: string): Deletion {
  const parts = text.split("/");
  const kind = kindOf(parts[0]);
  if (kind === undefined) {
    const known = DELETED_KINDS.map((one) => one.toLowerCase()).join(", ");
    throw new UsageError(`--delete ${JSON.stringify(text)}: expected one of ${known} before the /`);
  }
  const names = parts.slice(1);
  const most = kind === "Node" ? 1 : 2;
  if (names.length < 1 || names.length > most || names.includes("")) {
    const expected = kind === "Node" ? "NAME" : "NAMESPACE/NAME";
    throw new UsageError(
      `--delete ${JSON.stringify(text)}: expected ${kind.toLowerCase()}/${expected}`,
    );
  }
  const [name, namespace] = names.toReversed();
  return namespace === undefined ? { kind, name } : { kind, namespace, name };
}

function kindOf(text: string): Deletion["kind"] | undefined {
  const word = text.toLowerCase();
  if (Object.hasOwn(SHORT_NAMES, word)) return SHORT_NAMES[word];
  return DELETED_KINDS.find((kind) => {
    const name = kind.toLowerCase();
    return word === name || word === `${name}s`;
  });
}

/** Objects that outlive a mistake in the file that describes them. @module */

import { identityOfObject, type Located } from "../control/located.ts";
import type { DecodedFile } from "./decode.ts";

/** The objects of each file, by its name. */
export type FileObjects = ReadonlyMap<string, readonly Located[]>;

/**
 * The objects that count now. An object whose document is broken, or may be in a part of its file
 * that cannot be read, stays as it was; one that is no longer there is gone.
 */
export function withLastGood(files: readonly DecodedFile[], before: FileObjects): FileObjects {
  const present = new Set<string>();
  for (const { objects } of files) {
    for (const { object } of objects) present.add(identityOfObject(object));
  }
  return new Map(files.map(({ name, objects, broken, unreadable }) => {
    const kept = (before.get(name) ?? []).filter(({ object }) => {
      const identity = identityOfObject(object);
      return !present.has(identity) && (unreadable || broken.has(identity));
    });
    return [name, [...objects, ...kept]];
  }));
}

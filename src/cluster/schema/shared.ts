/** One object instead of many that are equal. @module */

/** As many as a big cluster has nodes; with more, sharing begins anew. */
const MAX_SHARED = 10_000;
/** What is longer is hardly there twice. */
const MAX_KEY = 256;

/**
 * Returns, for values with equal keys, the first of them: a hundred thousand endpoints have few
 * nodes, zones, combinations of conditions and lists of ports.
 */
export function shared<T>(keyOf: (value: T) => string): (value: T) => T {
  const known = new Map<string, T>();
  return (value) => {
    const key = keyOf(value);
    if (key.length > MAX_KEY) return value;
    const first = known.get(key);
    if (first !== undefined) return first;
    if (known.size >= MAX_SHARED) known.clear();
    known.set(key, value);
    return value;
  };
}

/** Shares lists and objects that are written alike. */
export function sharedJson<T>(): (value: T) => T {
  return shared((value) => JSON.stringify(value));
}

/** Shares words: names of nodes, zones and namespaces. */
export const sharedText = shared((text: string) => text);

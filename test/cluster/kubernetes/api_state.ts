/** The objects of an API server double: versions, a history that can be compacted, selectors. */

/** An object as the API writes it. */
export interface RawObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** One change: what was there before and is there after it. */
interface Change {
  readonly version: number;
  readonly before: RawObject | null;
  readonly after: RawObject | null;
}

export interface Event {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  readonly object: RawObject;
}

export type Selects = (object: RawObject) => boolean;

/** One collection. Versions are counted over all collections of a server, by `next`. */
export class Collection {
  readonly #next: () => number;
  #objects = new Map<string, RawObject>();
  #history: Change[] = [];
  readonly #log: Change[] = [];
  #compacted = 0;
  #watchers = new Set<() => void>();

  constructor(next: () => number) {
    this.#next = next;
  }

  get objects(): readonly RawObject[] {
    return [...this.#objects.values()];
  }

  /** Creates or replaces. */
  put(object: RawObject): void {
    const key = keyOf(object);
    const before = this.#objects.get(key) ?? null;
    const version = this.#next();
    const after = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: before?.metadata.uid ?? `uid-${version}`,
        resourceVersion: String(version),
      },
    };
    this.#objects.set(key, after);
    this.#changed({ version, before, after });
  }

  /** Whether it was there. */
  remove(key: string): boolean {
    const before = this.#objects.get(key);
    if (before === undefined) return false;
    this.#objects.delete(key);
    this.#changed({ version: this.#next(), before, after: null });
    return true;
  }

  /** Forgets how it came to be what it is now. */
  compact(version: number): void {
    this.#compacted = version;
    this.#history = this.#history.filter((change) => change.version > version);
  }

  remembers(version: number): boolean {
    return version >= this.#compacted;
  }

  /** Whether an object was ever deleted, or out of the selection, after it had been there. */
  wasGone(key: string, selects: Selects): boolean {
    return this.#log.some(({ before, after }) =>
      before !== null && keyOf(before) === key && (after === null || !selects(after))
    );
  }

  /** The events after a version, as a watcher with a selector sees them. */
  eventsAfter(version: number, selects: Selects): Event[] {
    return this.#history.filter((change) => change.version > version)
      .map((change) => eventOf(change, selects)).filter((event) => event !== null);
  }

  /** Calls back after every change, until the returned function is called. */
  watch(callback: () => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  #changed(change: Change): void {
    this.#history.push(change);
    this.#log.push(change);
    for (const watcher of this.#watchers) watcher();
  }
}

function eventOf({ version, before, after }: Change, selects: Selects): Event | null {
  const was = before !== null && selects(before);
  const is = after !== null && selects(after);
  if (is) return { type: was ? "MODIFIED" : "ADDED", version, object: after };
  if (!was) return null;
  // A DELETED event carries the version of the deletion.
  const metadata = { ...before.metadata, resourceVersion: String(version) };
  return { type: "DELETED", version, object: { ...before, metadata } };
}

export function keyOf({ metadata }: RawObject): string {
  return metadata.namespace === undefined
    ? metadata.name
    : `${metadata.namespace}/${metadata.name}`;
}

/** The selectors that are used here: "!label" terms, metadata.name, and not spec.clusterIP. */
export function selectorOf(query: URLSearchParams): Selects {
  const labels = (query.get("labelSelector") ?? "").split(",").filter((term) => term !== "");
  const fields = (query.get("fieldSelector") ?? "").split(",").filter((term) => term !== "");
  for (const term of labels) if (!term.startsWith("!")) throw new TypeError(term);
  for (const term of fields) {
    if (!/^(metadata\.name=|spec\.clusterIP!=)/.test(term)) throw new TypeError(term);
  }
  return ({ metadata, spec }) => {
    const { clusterIP } = (spec ?? {}) as { readonly clusterIP?: string };
    return labels.every((term) => metadata.labels?.[term.slice(1)] === undefined) &&
      fields.every((term) =>
        term === `metadata.name=${metadata.name}` ||
        (term.startsWith("spec.clusterIP!=") && term !== `spec.clusterIP!=${clusterIP}`)
      );
  };
}

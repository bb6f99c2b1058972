/**
 * What was asked for lately, bounded: the younger half is kept whole, the older one is forgotten when
 * the younger is full. What is asked for again and again stays.
 *
 * @module
 */

/** A cache of at most so many entries. */
export class Recent<Key, Value> {
  readonly #half: number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();

  /** @param most entries; at least 2. */
  constructor(most: number) {
    this.#half = most >> 1;
  }

  /** The value; made where it is not kept. */
  get(key: Key, make: () => Value): Value {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const value = this.#old.get(key) ?? make();
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
    return value;
  }
}

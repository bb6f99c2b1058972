/**
 * What several Services may ask for at once, and who gets it.
 *
 * @module
 */

import type { ItemChange } from "./change.ts";
import type { VirtualServerState } from "./state.ts";

/**
 * Who asks for a virtual server. A Service that has the address for itself comes before a node port,
 * and of several of a kind, which the plan does not make, the first by name.
 */
export class Claimants {
  readonly #claims = new Map<string, { server: VirtualServerState; exact: boolean }>();

  constructor(key: string, server: VirtualServerState, exact: boolean) {
    this.add(key, server, exact);
  }

  get first(): VirtualServerState {
    if (this.#claims.size === 1) return this.#claims.values().next().value!.server;
    const ranked = [...this.#claims].sort(([a, one], [b, other]) =>
      Number(other.exact) - Number(one.exact) || (a < b ? -1 : 1)
    );
    return ranked[0][1].server;
  }

  add(key: string, server: VirtualServerState, exact: boolean): void {
    if (exact || this.#claims.get(key)?.exact !== true) this.#claims.set(key, { server, exact });
  }

  /** Whether nobody asks for it any more. */
  remove(key: string): boolean {
    this.#claims.delete(key);
    return this.#claims.size === 0;
  }
}

/** Things with the number of those who ask for them. */
export class Counts {
  readonly #counts = new Map<string, number>();
  #changes: Map<string, boolean> | null = null;

  get size(): number {
    return this.#counts.size;
  }

  has(item: string): boolean {
    return this.#counts.has(item);
  }

  keys(): Iterable<string> {
    return this.#counts.keys();
  }

  /** How many ask for it then. */
  add(item: string): number {
    const count = (this.#counts.get(item) ?? 0) + 1;
    if (count === 1) this.#note(item, false);
    this.#counts.set(item, count);
    return count;
  }

  remove(item: string): void {
    const count = (this.#counts.get(item) ?? 0) - 1;
    if (count > 0) this.#counts.set(item, count);
    else {
      this.#note(item, true);
      this.#counts.delete(item);
    }
  }

  /** Notes from here on what comes and goes. */
  begin(): Changes {
    const changes = this.#changes = new Map<string, boolean>();
    return {
      end: () => {
        this.#changes = null;
        const added = [...changes].filter(([item, had]) => !had && this.#counts.has(item));
        const removed = [...changes].filter(([item, had]) => had && !this.#counts.has(item));
        return { added: added.map(([item]) => item), removed: removed.map(([item]) => item) };
      },
    };
  }

  /** Whether it was there when the notes began counts. */
  #note(item: string, had: boolean): void {
    if (this.#changes !== null && !this.#changes.has(item)) this.#changes.set(item, had);
  }
}

/** What came and went. */
export interface Changes {
  end(): ItemChange;
}

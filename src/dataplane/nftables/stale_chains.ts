/**
 * Chains that nothing leads to any more, on kernels that cannot take them away at once.
 *
 * A kernel before 6.2 still counts the map's element that led to a chain when the same transaction
 * takes both away. So the chain is emptied first, and goes in another transaction, a while later.
 *
 * @module
 */

/** As in kube-proxy: how long a kernel may take to notice, milliseconds. */
const WAIT_MS = 1000;

/** Those of one family. */
export class StaleChains {
  readonly #since = new Map<string, number>();
  readonly #now: () => number;

  /** @param now milliseconds. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Chains that were emptied long enough ago. */
  due(): string[] {
    const latest = this.#now() - WAIT_MS;
    return [...this.#since].filter(([, since]) => since <= latest).map(([name]) => name);
  }

  /** Notes one that was emptied. */
  add(name: string): void {
    if (!this.#since.has(name)) this.#since.set(name, this.#now());
  }

  has(name: string): boolean {
    return this.#since.has(name);
  }

  /** Forgets one that is used again, or gone. */
  delete(name: string): void {
    this.#since.delete(name);
  }

  clear(): void {
    this.#since.clear();
  }
}

/**
 * Which Service owns a frontend that several of them claim.
 *
 * @module
 */

/**
 * Frontends by their claimants. Of several Services that claim one frontend, the first by
 * "namespace/name" owns it, in whatever order they came.
 */
export class FrontendClaims {
  /** The one claimant, or several in order. */
  readonly #claimants = new Map<string, string | readonly string[]>();
  readonly #claims = new Map<string, ReadonlySet<string>>();
  readonly #contested = new Set<string>();

  /** The same claims, to go their own way. */
  fork(): FrontendClaims {
    const fork = new FrontendClaims();
    for (const [frontend, claimants] of this.#claimants) fork.#claimants.set(frontend, claimants);
    for (const [service, frontends] of this.#claims) fork.#claims.set(service, frontends);
    for (const frontend of this.#contested) fork.#contested.add(frontend);
    return fork;
  }

  /** Frontends with more than one claimant. */
  get contested(): ReadonlySet<string> {
    return this.#contested;
  }

  /** The Services that claim a frontend, its owner first. */
  claimants(frontend: string): readonly string[] {
    const claimants = this.#claimants.get(frontend) ?? [];
    return typeof claimants === "string" ? [claimants] : claimants;
  }

  /** Whether the Service owns the frontend. */
  owns(service: string, frontend: string): boolean {
    const claimants = this.#claimants.get(frontend);
    return typeof claimants === "string" ? claimants === service : claimants?.[0] === service;
  }

  /**
   * Replaces the frontends that a Service claims. Returns the other Services that gained or lost a
   * frontend by it.
   */
  replace(service: string, frontends: ReadonlySet<string>): Set<string> {
    const former = this.#claims.get(service) ?? new Set<string>();
    const affected = new Set<string>();
    for (const frontend of former.symmetricDifference(frontends)) {
      const before = this.claimants(frontend);
      const after = frontends.has(frontend)
        ? [...before, service].sort()
        : before.filter((other) => other !== service);
      this.#store(frontend, after);
      if (before[0] !== after[0]) {
        for (const other of [before[0], after[0]]) {
          if (other !== undefined && other !== service) affected.add(other);
        }
      }
    }
    if (frontends.size === 0) this.#claims.delete(service);
    else this.#claims.set(service, frontends);
    return affected;
  }

  #store(frontend: string, claimants: readonly string[]): void {
    if (claimants.length === 0) this.#claimants.delete(frontend);
    else this.#claimants.set(frontend, claimants.length === 1 ? claimants[0] : claimants);
    if (claimants.length > 1) this.#contested.add(frontend);
    else this.#contested.delete(frontend);
  }
}

/**
 * What nftables mode does, under kube-proxy's names.
 *
 * @module
 */

import type { FamilyAttempt } from "../../dataplane/dataplane.ts";
import type { Family } from "../../net/address.ts";
import { type Counter, counterIn, type FamilyLabel, type Registry } from "./registry.ts";

/** What nftables mode says of itself. */
export interface NftablesFigures {
  /** The families that it serves. */
  readonly families: readonly Family[];
  /** How often chains that are not used could not be taken away. */
  cleanupFailures(family: Family): number;
}

/** The metrics that only nftables mode has. */
export class NftablesMetrics {
  readonly #figures: NftablesFigures;
  readonly #syncFailures: Counter<FamilyLabel>;
  readonly #cleanupFailures: Counter<FamilyLabel>;

  constructor(registry: Registry, figures: NftablesFigures) {
    const counter = counterIn(registry);
    this.#figures = figures;
    const rules = "kubeproxy_sync_proxy_rules_nftables";
    this.#syncFailures = counter(
      `${rules}_sync_failures_total`,
      "Transactions of nftables that the kernel did not take",
      ["ip_family"],
    );
    this.#cleanupFailures = counter(
      `${rules}_cleanup_failures_total`,
      "Times that chains without use could not be deleted",
      ["ip_family"],
    );
    for (const ip_family of figures.families) this.#syncFailures.inc({ ip_family }, 0);
  }

  attempted({ family, refused }: FamilyAttempt): void {
    if (refused) this.#syncFailures.inc({ ip_family: family });
  }

  /** Reads what is to be scraped now. */
  update(): void {
    this.#cleanupFailures.reset();
    for (const ip_family of this.#figures.families) {
      this.#cleanupFailures.inc({ ip_family }, this.#figures.cleanupFailures(ip_family));
    }
  }
}

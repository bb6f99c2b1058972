/**
 * What iptables mode has and does, under kube-proxy's names.
 *
 * @module
 */

import type { FamilyAttempt } from "../../dataplane/dataplane.ts";
import type { FamilySync } from "../../dataplane/iptables/family.ts";
import { type CounterName, COUNTERS } from "../../dataplane/iptables/options.ts";
import { countRules, type RuleSet, TABLES } from "../../dataplane/iptables/rules.ts";
import type { Family } from "../../net/address.ts";
import {
  type Counter,
  counterIn,
  type FamilyLabel,
  type Gauge,
  gaugeIn,
  type Registry,
  setCounter,
} from "./registry.ts";

/** What iptables mode says of itself. */
export interface IptablesFigures {
  /** The families that it serves. */
  readonly families: readonly Family[];
  /** The rules as of the last successful sync; null before the first. */
  rules(family: Family): RuleSet | null;
  /** What the last successful sync sent; null before the first. */
  lastSync(family: Family): Pick<FamilySync, "written"> | null;
  /** Packets counted by the rules, where the kernel can. */
  countedPackets(): ReadonlyMap<CounterName, bigint>;
}

/** The metrics that only iptables mode has. */
export class IptablesMetrics {
  readonly #figures: IptablesFigures;
  readonly #total: Gauge<FamilyLabel | "table">;
  readonly #last: Gauge<FamilyLabel | "table">;
  readonly #failures: Counter<FamilyLabel>;
  readonly #partialFailures: Counter<FamilyLabel>;
  readonly #packets: ReadonlyMap<CounterName, Counter>;

  constructor(registry: Registry, figures: IptablesFigures) {
    const gauge = gaugeIn(registry);
    const counter = counterIn(registry);
    const rules = "kubeproxy_sync_proxy_rules_iptables";
    this.#figures = figures;
    this.#total = gauge(`${rules}_total`, "Rules of the proxy on this node", [
      "ip_family",
      "table",
    ]);
    this.#last = gauge(`${rules}_last`, "Rules that the last sync wrote or deleted", [
      "ip_family",
      "table",
    ]);
    this.#failures = counter(`${rules}_restore_failures_total`, "Failures of iptables-restore", [
      "ip_family",
    ]);
    this.#partialFailures = counter(
      `${rules}_partial_restore_failures_total`,
      "Failures of iptables-restore with what had changed only",
      ["ip_family"],
    );
    this.#packets = new Map([
      [
        COUNTERS.invalidDropped,
        counter(
          "kubeproxy_iptables_ct_state_invalid_dropped_packets_total",
          "Packets dropped because connection tracking could not place them",
        ),
      ],
      [
        COUNTERS.localhostNodePorts,
        counter(
          "kubeproxy_iptables_localhost_nodeports_accepted_packets_total",
          "Packets to node ports on loopback addresses",
        ),
      ],
    ]);
    for (const ip_family of figures.families) {
      this.#failures.inc({ ip_family }, 0);
      this.#partialFailures.inc({ ip_family }, 0);
    }
  }

  attempted({ family, full, refused }: FamilyAttempt): void {
    if (!refused) return;
    this.#failures.inc({ ip_family: family });
    if (!full) this.#partialFailures.inc({ ip_family: family });
  }

  /** Reads what is to be scraped now. */
  update(): void {
    for (const ip_family of this.#figures.families) {
      const rules = this.#figures.rules(ip_family);
      const last = this.#figures.lastSync(ip_family);
      for (const table of TABLES) {
        this.#total.set({ ip_family, table }, rules === null ? 0 : countRules(rules, table));
        this.#last.set({ ip_family, table }, last?.written[table] ?? 0);
      }
    }
    for (const [name, packets] of this.#figures.countedPackets()) {
      setCounter(this.#packets.get(name)!, Number(packets));
    }
  }
}

/**
 * What the HTTP API is a view of.
 *
 * @module
 */

import type { ClusterProblem, SimulatedCluster } from "../cluster/source.ts";
import type { Difference, ProxyMode } from "../dataplane/dataplane.ts";
import type { RuleOptions } from "../dataplane/iptables/options.ts";
import type { IpvsOptions } from "../dataplane/ipvs/options.ts";
import type { ReadTable } from "../dataplane/nftables/access.ts";
import type { NftablesRuleOptions } from "../dataplane/nftables/options.ts";
import type { RuleSet as NftablesRuleSet } from "../dataplane/nftables/rules.ts";
import type { IpvsState } from "../dataplane/ipvs/state.ts";
import type { RuleSet } from "../dataplane/iptables/rules.ts";
import type { EngineHandle } from "../engine/handle.ts";
import type { Family } from "../net/address.ts";
import type { Connection, ConnectionFilter } from "../netlink/netfilter/conntrack.ts";
import type { Plan } from "../plan/plan.ts";
import type { Planner } from "../plan/planner.ts";
import type { History } from "../history/history.ts";
import type { EventHub } from "./events/hub.ts";

/** Health as the probes report it; times are milliseconds since the epoch. */
export interface HealthReport {
  readonly healthy: boolean;
  /** Whether load balancers may send new connections here. */
  readonly nodeEligible: boolean;
  readonly currentTime: number;
  /** The current time when healthy; else when the first unhealthy family was last in step. */
  readonly lastUpdated: number;
  readonly status: readonly {
    readonly family: Family;
    readonly healthy: boolean;
    /** When it was last in step. */
    readonly lastUpdated: number;
  }[];
}

/** What the node has of iptables mode's rules. */
export interface NodeRules {
  /** The rules as of the last successful sync; null before the first and in families not served. */
  rules(family: Family): RuleSet | null;
  /** iptables-save's text of all tables, read from the node now. */
  saved(family: Family): Promise<string>;
}

/** What the node has of ipvs mode. */
export interface NodeServers {
  /** As of the last successful sync; null before the first and in families not served. */
  state(family: Family): IpvsState | null;
  /** What of ours the node has now, and iptables-save's text of all tables. */
  read(family: Family): Promise<{ readonly state: IpvsState; readonly saved: string }>;
}

/** What the node has of nftables mode. */
export interface NodeTables {
  /** The rules as of the last successful sync; null before the first and in families not served. */
  rules(family: Family): NftablesRuleSet | null;
  /** All tables that a family's packets pass, the proxy's among them, read from the node now. */
  read(family: Family): Promise<readonly ReadTable[]>;
}

/** What only the node itself can say. What its mode has not, or a node that is not programmed, is absent. */
export interface NodeView {
  readonly iptables?: NodeRules;
  readonly ipvs?: NodeServers;
  readonly nftables?: NodeTables;
  /** What is not as the last successful sync left it. */
  differences?(): Promise<readonly Difference[]>;
  /**
   * The kernel's connections that match all of a filter and whose ids are above `after` (all of
   * them by default), by id, in parts; absent where the engine has them.
   */
  connections?(filter: ConnectionFilter, after?: number): AsyncIterable<readonly Connection[]>;
}

/** The running proxy, read only. */
export interface ApiState {
  readonly mode: ProxyMode;
  readonly families: readonly Family[];
  /** Options of the rules that iptables mode has, or would have. */
  readonly ruleOptions: RuleOptions;
  /** Options of what ipvs mode has, or would have (default: kube-proxy's). */
  readonly ipvsOptions?: IpvsOptions;
  /** Options of the rules that nftables mode has, or would have (default: kube-proxy's). */
  readonly nftablesOptions?: NftablesRuleOptions;
  readonly node: NodeView;
  /** Whether this node's traffic is forwarded, or only queries are answered. */
  readonly programming: boolean;
  readonly engine: EngineHandle;
  /** Networks that cluster IPs come from where the plan does not know them. */
  readonly serviceNetworks: readonly string[];
  /** The plan as it is now; not to be kept. */
  plan(): Plan;
  /** A planner that has the plan as it is now, to try changes on: it is the caller's. */
  fork(): Planner;
  /** The cluster, where its control plane is at hand; absent: its own controllers decide. */
  readonly simulated?: SimulatedCluster;
  /** Another number after every change of the plan: till then, what was made from it holds. */
  revision(): number;
  /** Whether the node is being brought in step with the plan; absent: never. */
  syncing?(): boolean;
  /** The problems that the input has now. */
  problems(): readonly ClusterProblem[];
  health(): HealthReport;
  /** What happens, as it happens. */
  readonly events: EventHub;
  /** What happened, and the plans of the past. */
  readonly history: History;
}

/**
 * The state that a plan asks for, kept up to date Service by Service: the cost of a change is that of
 * the Services which changed.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { VirtualServerId } from "../../netlink/generic/ipvs.ts";
import { type Plan, type ServiceChanges, serviceKey, type ServicePlan } from "../../plan/plan.ts";
import type { RenderProblem } from "../dataplane.ts";
import { unrenderable } from "../iptables/renderable.ts";
import type { Chains } from "../iptables/rules.ts";
import { sameServer, type StateChange } from "./change.ts";
import { type Changes, Claimants, Counts } from "./claims.ts";
import type { IpvsFragment } from "./fragment.ts";
import { SET_IDS, type SetId, setName, SETS } from "./names.ts";
import { type IpvsContext, ipvsContext, type IpvsOptions } from "./options.ts";
import { renderRules } from "./render_rules.ts";
import { renderService } from "./render_service.ts";
import { serverKey } from "./servers.ts";
import {
  type IpSetState,
  type IpSetType,
  type IpvsState,
  serverName,
  type VirtualServerState,
} from "./state.ts";

/** The state of one family for one plan at a time. */
export class DesiredState {
  readonly family: Family;
  #context: IpvsContext;
  readonly #fragments = new Map<string, IpvsFragment>();
  /** By {@link serverName}: what Services ask for, the one at its own address first. */
  readonly #servers = new Map<string, Claimants>();
  readonly #addresses = new Counts();
  readonly #members: Readonly<Record<SetId, Counts>>;
  #rules: IpvsState["rules"];
  #rulesStale = true;
  /** Everything, put together when it was last asked for. */
  #state: IpvsState | null = null;

  private constructor(family: Family, context: IpvsContext) {
    this.family = family;
    this.#context = context;
    this.#members = Object.fromEntries(
      SET_IDS.map((set) => [set, new Counts()]),
    ) as Record<SetId, Counts>;
    this.#rules = { filter: new Map(), nat: new Map() };
  }

  /** The state for a plan, and what of it is not in it. */
  static of(
    plan: Plan,
    family: Family,
    options: IpvsOptions,
  ): { readonly desired: DesiredState; readonly problems: readonly RenderProblem[] } {
    const desired = new DesiredState(family, ipvsContext(family, plan.node, options));
    const { problems } = desired.apply({ updated: [...plan.services.values()], removed: [] });
    return { desired, problems };
  }

  /** Takes over a change of Services. For a change of the node's info make a new one. */
  apply(
    { updated, removed }: ServiceChanges,
  ): { readonly change: StateChange; readonly problems: readonly RenderProblem[] } {
    this.#state = null;
    const touched = this.#replace(updated, removed);
    const before = this.#rules;
    if (this.#rulesStale) this.#rules = this.#renderRules();
    this.#rulesStale = false;
    const rules = sameRules(before, this.#rules) ? null : { before, after: this.#rules };
    const sets = new Map(
      SET_IDS.flatMap((set) => {
        const change = touched.members[set].end();
        return change.added.length + change.removed.length === 0
          ? []
          : [[setName(set, this.family), change] as const];
      }),
    );
    return {
      change: {
        servers: [...touched.servers].flatMap(([name, before]) => {
          const after = this.#servers.get(name)?.first ?? null;
          return sameServer(before, after) ? [] : [{ before, after }];
        }),
        addresses: touched.addresses.end(),
        sets,
        rules,
      },
      problems: touched.problems,
    };
  }

  /** Names of the virtual servers. */
  get serverNames(): Iterable<string> {
    return this.#servers.keys();
  }

  /** Whether kube-ipvs0 is to have an address. */
  has(address: string): boolean {
    return this.#addresses.has(address);
  }

  /** The type of a set of ours. */
  setType(name: string): IpSetType {
    const id = SET_IDS.find((set) => setName(set, this.family) === name);
    if (id === undefined) throw new TypeError(`${name} is no set of ipvs mode`);
    return SETS[id].type;
  }

  /**
   * Whether addresses, virtual servers or entries of sets are missing, of these that are there. A set
   * whose size is not given is taken to be as it was left.
   */
  isEmptied(
    addresses: readonly string[],
    servers: readonly VirtualServerId[],
    setSizes: ReadonlyMap<string, number>,
  ): boolean {
    const there = new Set(addresses);
    for (const address of this.#addresses.keys()) if (!there.has(address)) return true;
    for (const id of SET_IDS) {
      const { size } = this.#members[id];
      if ((setSizes.get(setName(id, this.family)) ?? size) < size) return true;
    }
    const names = new Set<string>();
    for (const id of servers) {
      const key = serverKey(id);
      if (key !== null) names.add(serverName(key));
    }
    for (const name of this.#servers.keys()) if (!names.has(name)) return true;
    return false;
  }

  /** Everything, as of now. */
  get state(): IpvsState {
    return this.#state ??= this.#collect();
  }

  #collect(): IpvsState {
    const servers = new Map<string, VirtualServerState>();
    for (const name of [...this.#servers.keys()].sort()) {
      servers.set(name, this.#servers.get(name)!.first);
    }
    return {
      family: this.family,
      servers,
      addresses: new Set([...this.#addresses.keys()].sort()),
      sets: new Map(SET_IDS.map((id) => {
        const name = setName(id, this.family);
        const set: IpSetState = {
          name,
          type: SETS[id].type,
          entries: [...this.#members[id].keys()].sort(),
        };
        return [name, set];
      })),
      rules: this.#rules,
    };
  }

  #replace(updated: readonly ServicePlan[], removed: readonly string[]) {
    const problems: RenderProblem[] = [];
    const servers = new Map<string, VirtualServerState | null>();
    const touch = (name: string) => {
      if (!servers.has(name)) servers.set(name, this.#servers.get(name)?.first ?? null);
    };
    const addresses = this.#addresses.begin();
    const members = Object.fromEntries(
      SET_IDS.map((set) => [set, this.#members[set].begin()]),
    ) as Record<SetId, Changes>;
    for (const key of removed) this.#drop(key, touch);
    for (const service of updated) {
      const key = serviceKey(service);
      this.#drop(key, touch);
      const message = unrenderable(service);
      if (message !== null) {
        problems.push({ service: key, message });
        continue;
      }
      const fragment = renderService(service, this.#context);
      if (fragment === null) continue;
      this.#take(key, fragment, touch);
      for (const message of fragment.problems) problems.push({ service: key, message });
    }
    return { problems, servers, addresses, members };
  }

  #take(key: string, fragment: IpvsFragment, touch: (name: string) => void): void {
    this.#fragments.set(key, fragment);
    const add = (server: VirtualServerState, exact: boolean) => {
      const name = serverName(server.key);
      touch(name);
      const claimants = this.#servers.get(name);
      if (claimants === undefined) this.#servers.set(name, new Claimants(key, server, exact));
      else claimants.add(key, server, exact);
    };
    for (const server of fragment.servers) add(server, true);
    for (const server of fragment.nodePortServers) add(server, false);
    for (const address of fragment.addresses) this.#addresses.add(address);
    for (const [set, entry] of fragment.members) {
      if (this.#members[set].add(entry) === 1 && this.#members[set].size === 1) {
        this.#rulesStale = true;
      }
    }
    if (hasRules(fragment)) this.#rulesStale = true;
  }

  #drop(key: string, touch: (name: string) => void): void {
    const fragment = this.#fragments.get(key);
    if (fragment === undefined) return;
    this.#fragments.delete(key);
    for (const server of [...fragment.servers, ...fragment.nodePortServers]) {
      const name = serverName(server.key);
      touch(name);
      if (this.#servers.get(name)?.remove(key)) this.#servers.delete(name);
    }
    for (const address of fragment.addresses) this.#addresses.remove(address);
    for (const [set, entry] of fragment.members) {
      this.#members[set].remove(entry);
      if (this.#members[set].size === 0) this.#rulesStale = true;
    }
    if (hasRules(fragment)) this.#rulesStale = true;
  }

  #renderRules(): IpvsState["rules"] {
    const fragments = [...this.#fragments].filter(([, fragment]) => hasRules(fragment))
      .sort(([a], [b]) => a < b ? -1 : 1).map(([, fragment]) => fragment);
    return renderRules(this.#context, {
      filled: new Set(SET_IDS.filter((set) => this.#members[set].size > 0)),
      sourceFilters: fragments.flatMap(({ sourceFilters }) => sourceFilters),
      shortCircuits: [
        ...fragments.flatMap(({ shortCircuits }) => shortCircuits),
        ...fragments.flatMap(({ nodePortShortCircuits }) => nodePortShortCircuits),
      ],
    });
  }
}

function hasRules(fragment: IpvsFragment): boolean {
  const { sourceFilters, shortCircuits, nodePortShortCircuits } = fragment;
  return sourceFilters.length + shortCircuits.length + nodePortShortCircuits.length > 0;
}

function sameRules(one: IpvsState["rules"], other: IpvsState["rules"]): boolean {
  return one === other ||
    (["filter", "nat"] as const).every((table) => sameChains(one[table], other[table]));
}

function sameChains(one: Chains, other: Chains): boolean {
  return one.size === other.size && [...one].every(([chain, rules]) => {
    const others = other.get(chain);
    return others !== undefined && rules.length === others.length &&
      rules.every((rule, i) => rule === others[i]);
  });
}

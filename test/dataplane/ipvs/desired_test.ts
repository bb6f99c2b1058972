/** The state that a plan asks for, kept up to date by changes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { ItemChange, StateChange } from "../../../src/dataplane/ipvs/change.ts";
import { DesiredState } from "../../../src/dataplane/ipvs/desired.ts";
import { diffStates } from "../../../src/dataplane/ipvs/diff.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import {
  type IpvsState,
  serverName,
  type VirtualServerState,
} from "../../../src/dataplane/ipvs/state.ts";
import { FAMILIES } from "../../../src/net/address.ts";
import { Planner } from "../../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../../plan/arbitraries.ts";
import { plannerOf, service, slice } from "./plans.ts";

/** What a change does, in the simplest way. */
function follow(state: IpvsState, change: StateChange): IpvsState {
  const items = (list: Iterable<string>, { added, removed }: ItemChange) =>
    [...new Set([...list, ...added]).difference(new Set(removed))].sort();
  const servers = new Map(state.servers);
  for (const { before, after } of change.servers) {
    servers.delete(serverName((before ?? after)!.key));
    if (after !== null) servers.set(serverName(after.key), after);
  }
  const empty = { added: [], removed: [] };
  return {
    family: state.family,
    servers: new Map([...servers].sort(([a], [b]) => a < b ? -1 : 1)),
    addresses: new Set(items(state.addresses, change.addresses)),
    sets: new Map([...state.sets].map(([name, set]) => [name, {
      ...set,
      entries: items(set.entries, change.sets.get(name) ?? empty),
    }])),
    rules: change.rules?.after ?? state.rules,
  };
}

/** The same for two changes that say the same in another order. */
function normal(change: StateChange) {
  const name = ({ before, after }: StateChange["servers"][number]) =>
    serverName((before ?? after)!.key);
  const items = ({ added, removed }: ItemChange) => [[...added].sort(), [...removed].sort()];
  return {
    servers: [...change.servers].sort((a, b) => name(a) < name(b) ? -1 : 1),
    addresses: items(change.addresses),
    sets: [...change.sets].map(([set, change]) => [set, items(change)]),
    rules: change.rules?.after ?? null,
  };
}

Deno.test("changes lead to what the whole plan is rendered to, and say no more than differs", () => {
  fc.assert(
    fc.property(
      plannerConfig,
      fc.array(fc.array(clusterChange, { maxLength: 10 }), { minLength: 2, maxLength: 6 }),
      (config, steps) => {
        const planner = new Planner(config);
        const kept = new Map<string, DesiredState>();
        for (const changes of steps) {
          const change = planner.update(changes);
          for (const family of FAMILIES) {
            const { state } = render(planner.plan, family, DEFAULT_IPVS_OPTIONS);
            if (change.node !== null) {
              const { desired } = DesiredState.of(planner.plan, family, DEFAULT_IPVS_OPTIONS);
              kept.set(family, desired);
              continue;
            }
            const desired = kept.get(family)!;
            const before = desired.state;
            const step = desired.apply(change).change;
            assert.deepEqual(desired.state, state);
            assert.deepEqual(follow(before, step), state);
            assert.deepEqual(normal(step), normal(diffStates(before, state)));
          }
        }
      },
    ),
    { numRuns: 400 },
  );
});

Deno.test("a difference leads from any state to any other, and to itself by nothing", () => {
  fc.assert(
    fc.property(
      plannerConfig,
      fc.array(clusterChange, { maxLength: 15 }),
      fc.array(clusterChange, { maxLength: 15 }),
      (config, some, others) => {
        for (const family of FAMILIES) {
          const [one, other] = [some, others].map((changes) => {
            const planner = new Planner(config);
            planner.update(changes);
            return render(planner.plan, family, DEFAULT_IPVS_OPTIONS).state;
          });
          assert.deepEqual(follow(one, diffStates(one, other)), other);
          const nothing = diffStates(one, one);
          assert.deepEqual(normal(nothing), {
            servers: [],
            addresses: [[], []],
            sets: [],
            rules: null,
          });
        }
      },
    ),
    { numRuns: 200 },
  );
});

const PORT = [{ port: 80, protocol: "TCP" }];
const reals = (server: VirtualServerState | undefined) =>
  server?.realServers.map(({ address }) => address);

Deno.test("who has an address for itself comes before a node port, and gives it back", () => {
  const own = service("own", "10.96.0.2", [{ port: 30080, protocol: "TCP" }], {
    externalIPs: ["192.168.50.10"],
  });
  const planner = plannerOf([
    service("web", "10.96.0.1", [{ ...PORT[0], nodePort: 30080 }], { type: "NodePort" }),
    slice("web", PORT, ["10.244.0.1"]),
    own,
    slice("own", [{ port: 1, protocol: "TCP" }], ["10.244.0.2"]),
  ], { families: ["IPv4"] });
  const { desired } = DesiredState.of(planner.plan, "IPv4", DEFAULT_IPVS_OPTIONS);
  const contested = () => reals(desired.state.servers.get("192.168.50.10:30080/TCP"));
  assert.deepEqual(contested(), ["10.244.0.2"]);
  const { change } = desired.apply(planner.update([{ action: "delete", object: own }]));
  assert.deepEqual(contested(), ["10.244.0.1"]);
  assert.deepEqual(
    change.servers.map(({ before, after }) => [reals(before ?? undefined), after && reals(after)]),
    [[["10.244.0.2"], null], [["10.244.0.2"], ["10.244.0.1"]]],
  );
});

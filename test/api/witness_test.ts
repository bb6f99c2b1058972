/** Both witnesses about every scenario that the data planes are tested with. */

import assert from "node:assert/strict";
import { PlanViews } from "../../src/api/plan_views.ts";
import type { ApiState } from "../../src/api/state.ts";
import { verify } from "../../src/api/witness/verify.ts";
import { Witnesses } from "../../src/api/witness/witnesses.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { DEFAULT_RULE_OPTIONS } from "../../src/dataplane/iptables/options.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../src/dataplane/ipvs/options.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../src/dataplane/nftables/options.ts";
import { Planner } from "../../src/plan/planner.ts";
import { service, slice } from "../dataplane/ipvs/plans.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";
import { nodeChange, plannerConfig, type Scenario, ScenarioCluster } from "../scenarios/format.ts";
import { loadScenarios } from "../scenarios/runner.ts";
import { RealState } from "./real_state.ts";

const BRIDGE = { by: "bridge", name: "cbr0" } as const;

/** The modes whose rules choose by chance. */
const NETFILTER: readonly ProxyMode[] = ["iptables", "nftables"];

/** Table nat comes before filter: the node port takes what the external IP's rule would refuse. */
const DISPUTED = "an external IP takes a node port's number at the node's address";

async function run(scenario: Scenario, mode: ProxyMode): Promise<number> {
  const { configuration, steps } = scenario;
  const { families, nodePortAddresses, masqueradeAll } = configuration;
  const cluster = new ScenarioCluster();
  const scheduler = NETFILTER.includes(mode) ? "random" : "rr";
  const planner = new Planner({ ...plannerConfig(configuration), scheduler });
  const real = new RealState(mode);
  let revision = 0;
  const state: ApiState = {
    mode,
    programming: false,
    families,
    ruleOptions: { ...DEFAULT_RULE_OPTIONS, nodePortAddresses },
    ipvsOptions: {
      ...DEFAULT_IPVS_OPTIONS,
      rules: { ...DEFAULT_RULE_OPTIONS, nodePortAddresses },
      masqueradeAll,
    },
    nftablesOptions: { ...DEFAULT_NFTABLES_OPTIONS, nodePortAddresses },
    node: {},
    engine: real.engine,
    serviceNetworks: [],
    plan: () => planner.plan,
    fork: () => planner.fork(),
    revision: () => revision,
    problems: () => [],
    health: () => real.health(),
    events: real.events,
    history: real.history,
  };
  const witnesses = new Witnesses(state, new PlanViews(state));
  await real.engine.apply(planner.update([nodeChange(configuration)]));
  let asked = 0;
  for (const step of steps) {
    await real.engine.apply(planner.update(cluster.changes(step)));
    revision++;
    const found = await verify(state, witnesses, "synced", null);
    asked += found.asked;
    if (NETFILTER.includes(mode) && step.name === DISPUTED) assert.ok(found.disputes.length > 0);
    else assert.deepEqual(found.disputes, [], step.name);
    if (mode === "userspace") assert.equal(found.known, 0);
  }
  return asked;
}

for (const mode of ["iptables", "ipvs", "nftables", "userspace"] as const) {
  const second = mode === "userspace" ? "plan" : `${mode} rules`;
  Deno.test(`engine and ${second} agree about every scenario`, async () => {
    let asked = 0;
    for (const scenario of loadScenarios()) asked += await run(scenario, mode);
    assert.ok(asked > 500, String(asked));
  });
}

for (const mode of ["iptables", "ipvs", "nftables"] as const) {
  Deno.test(`${mode} mode: what a Service sends to the node itself is not disputed`, async () => {
    const real = new RealState(mode);
    const [nodeAddress] = real.plan().node.addresses;
    await real.apply([
      service("web", "10.96.0.1", [{ port: 80, protocol: "TCP", nodePort: 30080 }], {
        type: "NodePort",
      }),
      slice("web", [{ port: 8080, protocol: "TCP", name: "" }], [nodeAddress]),
    ]);
    const { disputes, known } = await verify(
      real,
      new Witnesses(real, new PlanViews(real)),
      "synced",
      null,
    );
    assert.deepEqual(disputes, []);
    assert.ok(known > 0, "they say it otherwise");
  });
}

/** Pods are known by the link that their packets come in through. */
class ByLink extends RealState {
  override readonly planner = testPlanner({ detectLocalMode: "BridgeInterface", clusterCIDRs: [] });
  override readonly ruleOptions = { ...DEFAULT_RULE_OPTIONS, localDetection: BRIDGE };
  readonly nftablesOptions = { ...DEFAULT_NFTABLES_OPTIONS, localDetection: BRIDGE };
}

for (const mode of NETFILTER) {
  Deno.test(`${mode} mode: whether pods by link are masqueraded is not disputed`, async () => {
    const real = new ByLink(mode);
    const ports = [{ port: 80, protocol: "TCP", nodePort: 30080 }] as const;
    const endpoints = (name: string) =>
      slice(name, [{ port: 8080, protocol: "TCP", name: "" }], ["10.180.0.1", "10.180.0.2"]);
    await real.apply([
      service("web", "10.96.0.1", ports, { type: "NodePort", externalTrafficPolicy: "Local" }),
      endpoints("web"),
    ]);
    const witnesses = new Witnesses(real, new PlanViews(real));
    const { disputes, known } = await verify(real, witnesses, "synced", null);
    assert.deepEqual(disputes, []);
    assert.ok(known > 0, "they say it otherwise");
    const packet = { source: "203.0.113.9", dest: "10.96.0.1", port: 80, protocol: "TCP" } as const;
    const { disagreements } = await witnesses.ask(packet);
    assert.deepEqual(disagreements.map(({ field }) => field), ["masquerade"]);
    assert.match(disagreements[0].known!, /the link that they come in through/);
  });
}

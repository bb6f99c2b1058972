/** Each kind of rule is needed by some scenario: without it, a flow goes another way. */

import assert from "node:assert/strict";
import {
  COUNTERS,
  DEFAULT_RULE_OPTIONS,
  type RuleOptions,
} from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import type { SaveRule, SaveTable } from "../../../src/dataplane/iptables/save_text.ts";
import type { Flow } from "../../../src/explain/answer.ts";
import { explain, type NodeTables } from "../../../src/explain/iptables/explain.ts";
import type { InterfaceRoute } from "../../../src/explain/netfilter/world.ts";
import { renderedTables } from "../../../src/explain/iptables/rendered.ts";
import { parseNetwork } from "../../../src/net/address.ts";
import type { PlannerConfig } from "../../../src/plan/node.ts";
import { Planner } from "../../../src/plan/planner.ts";
import {
  type Flow as ScenarioFlow,
  nodeChange,
  plannerConfig,
  ScenarioCluster,
} from "../../scenarios/format.ts";
import { loadScenarios } from "../../scenarios/runner.ts";

/** A state of a node, and the flows that a scenario asks about in it. */
interface Situation {
  readonly tables: NodeTables;
  readonly nodeAddresses: readonly string[];
  readonly flows: readonly ScenarioFlow[];
  /** Node ports at which load balancers ask for health. */
  readonly healthPorts: readonly number[];
  readonly routes: readonly InterfaceRoute[];
}

/** A way to run the proxy that changes which rules there are. */
interface Variant {
  readonly planner: Partial<PlannerConfig>;
  readonly rules: Partial<RuleOptions>;
}

/** Pods by their addresses, where the kernel has no nfacct; pods by their bridge, where it has. */
const VARIANTS: readonly Variant[] = [
  { planner: {}, rules: {} },
  {
    planner: { detectLocalMode: "BridgeInterface" },
    rules: {
      localDetection: { by: "bridge", name: "cbr0" },
      counters: new Set(Object.values(COUNTERS)),
    },
  },
];

function situations(variant: Variant): Situation[] {
  return loadScenarios().flatMap(({ configuration, steps }) => {
    const { families, nodePortAddresses, nodeAddresses, clusterCIDRs } = configuration;
    const options = { ...DEFAULT_RULE_OPTIONS, nodePortAddresses, ...variant.rules };
    const cluster = new ScenarioCluster();
    const planner = new Planner({ ...plannerConfig(configuration), ...variant.planner });
    planner.update([nodeChange(configuration)]);
    const via = (network: string, name: string): InterfaceRoute => ({
      network: parseNetwork(network)!,
      interface: name,
    });
    const routes = [
      ...clusterCIDRs.map((network) => via(network, "cbr0")),
      ...["0.0.0.0/0", "::/0"].map((network) => via(network, "eth0")),
    ];
    return steps.map((step) => {
      planner.update(cluster.changes(step));
      const tables: NodeTables = Object.fromEntries(
        families.map((family) => [
          family,
          renderedTables(render(planner.plan, family, options).rules),
        ]),
      );
      const flows = step.flows.filter(({ differs }) => differs["iptables"]?.expect !== null);
      const healthPorts = [...planner.plan.services.values()]
        .map(({ healthCheckNodePort }) => healthCheckNodePort).filter((port) => port !== 0);
      return { tables, nodeAddresses, flows, healthPorts, routes };
    });
  });
}

/** Words whose value says what a rule is; of all others, only that they are there counts. */
const TELLING = ["-j", "-m", "--ctstate", "--dst-type", "--src-type", "--comment"];

/** What a rule is, whichever Service it is for. */
function kindOf(table: string, { chain, tokens }: SaveRule): string {
  const words = tokens.map((token, i) => {
    if (token.startsWith("-") || token === "!") return token;
    if (!TELLING.includes(tokens[i - 1])) return "…";
    return token.replace(/^.* -> .*$/, "→").replace(/[a-z0-9-]+\/[a-z0-9.-]+(:\S+)?/, "NAME")
      .replace(/-[A-Z2-7]{16}/g, "-…");
  });
  return `${table} ${chain.replace(/-[A-Z2-7]{16}$/, "-…")} ${words.join(" ")}`
    .replace(/ -m (tcp|udp|sctp) -p …/, " -p …");
}

function without(tables: NodeTables, kind: string): NodeTables {
  const filter = (family: readonly SaveTable[] = []): SaveTable[] =>
    family.map((table) => ({
      ...table,
      rules: table.rules.filter((rule) => kindOf(table.name, rule) !== kind),
    }));
  return { IPv4: filter(tables.IPv4), IPv6: filter(tables.IPv6) };
}

function kindsOf(tables: NodeTables): Set<string> {
  return new Set(
    [...tables.IPv4 ?? [], ...tables.IPv6 ?? []].flatMap(({ name, rules }) =>
      rules.map((rule) => kindOf(name, rule))
    ),
  );
}

/** A node whose own policies let nothing in or through, as container engines leave it. */
function closed(tables: NodeTables): NodeTables {
  const close = (family: readonly SaveTable[] = []): SaveTable[] =>
    family.map((table) => {
      if (table.name !== "filter") return table;
      const chains = [...table.chains].map(([name, chain]) =>
        [name, ["INPUT", "FORWARD"].includes(name) ? { ...chain, policy: "DROP" } : chain] as const
      );
      return { ...table, chains: new Map(chains) };
    });
  return { IPv4: close(tables.IPv4), IPv6: close(tables.IPv6) };
}

/** What becomes of a flow: verdict, backends, and where a client goes that comes again. */
function fate(
  flow: Flow,
  tables: NodeTables,
  { nodeAddresses, routes }: Pick<Situation, "nodeAddresses" | "routes">,
): unknown {
  const node = { tables, nodeAddresses, routes };
  const { verdict, backends, steps } = explain(flow, node);
  const [remembered] = steps.flatMap(({ action }) =>
    /list (\S+) now holds/.exec(action)?.[1] ?? []
  );
  if (remembered === undefined) return [verdict, backends];
  const recent = new Map([[remembered, [{ address: flow.source, secondsAgo: 1 }]]]);
  return [verdict, backends, explain(flow, { ...node, recent }).backends];
}

/**
 * The fates of all flows, and of what scenarios, which ask about new connections on a node that is
 * open, leave out.
 */
function fates(situation: Situation, tables: NodeTables): string {
  const { flows, nodeAddresses, healthPorts } = situation;
  const asked = flows.map(({ from: source, to: { address: dest, port, protocol } }): Flow => ({
    name: "",
    source,
    dest,
    port,
    protocol,
  }));
  const [node] = nodeAddresses;
  const outside = "192.168.50.100";
  const loopback = (source: string): Flow => ({
    name: "",
    source,
    dest: "127.0.0.1",
    port: 10255,
    protocol: "TCP",
  });
  const health = healthPorts.map((port): Flow => ({
    name: "",
    source: outside,
    dest: node,
    port,
    protocol: "TCP",
  }));
  const within = (tables: NodeTables, flows: readonly Flow[]) =>
    flows.map((flow) => fate(flow, tables, situation));
  return JSON.stringify([
    within(tables, asked),
    within(closed(tables), [...asked, ...health]),
    within(closed(tables), asked.map((flow) => ({ ...flow, state: "ESTABLISHED" }))),
    within(tables, asked.map((flow) => ({ ...flow, state: "INVALID" }))),
    within(tables, [loopback(outside), loopback(node)]),
  ]);
}

/** Kinds that change no packet's way, and what they are for. */
const WITHOUT_EFFECT: ReadonlyMap<string, string> = new Map([
  [
    "filter OUTPUT -j KUBE-FIREWALL",
    "what the node sends to its loopback addresses meets the same rule at INPUT; the kubelet has both",
  ],
  [
    "nat KUBE-FW-… -m comment --comment other traffic to NAME will be dropped by KUBE-PROXY-FIREWALL",
    "it has no target: it is there for people",
  ],
  [
    "nat KUBE-NODEPORTS -m comment --comment NAME -p … -d … --dport … -m nfacct --nfacct-name … -j KUBE-EXT-…",
    "it counts; the next rule goes the same way for every address",
  ],
  [
    "nat KUBE-POSTROUTING -j MARK --xor-mark …",
    "the mark counts again only when the packet comes by once more, out of a tunnel for example",
  ],
]);

Deno.test("every kind of rule is needed by a scenario", () => {
  const all = VARIANTS.flatMap(situations);
  const usual = new Map(all.map((situation) => [situation, fates(situation, situation.tables)]));
  const kinds = new Map<string, Situation[]>();
  for (const situation of all) {
    for (const kind of kindsOf(situation.tables)) {
      kinds.set(kind, [...kinds.get(kind) ?? [], situation]);
    }
  }
  const unneeded = [...kinds].filter(([kind, having]) =>
    having.every((situation) =>
      fates(situation, without(situation.tables, kind)) === usual.get(situation)
    )
  ).map(([kind]) => kind);
  assert.deepEqual(unneeded.sort(), [...WITHOUT_EFFECT.keys()].sort());
  assert.ok(kinds.size >= 50, `${kinds.size} kinds`);
});

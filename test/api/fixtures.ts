/** A small plan and an engine that answers from it, for tests of what is in front of the engine. */

import type {
  BackendCounters,
  BasedResult,
  EngineCounters,
  EngineHandle,
  LookupResult,
  PacketQuery,
  RecordAnswers,
} from "../../src/engine/handle.ts";
import { EventHub } from "../../src/api/events/hub.ts";
import { History } from "../../src/history/history.ts";
import type { ApiState, HealthReport } from "../../src/api/state.ts";
import { DEFAULT_RULE_OPTIONS } from "../../src/dataplane/iptables/options.ts";
import { FAMILIES } from "../../src/net/address.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";
import type { Plan, ServicePlan } from "../../src/plan/plan.ts";
import { readyBackend, serviceOf, servicePort } from "../plan/service_plan.ts";

const forward = (to: "cluster" | "local", masquerade: boolean) =>
  ({ action: "forward", to, masquerade }) as const;
const everywhere = forward("cluster", false);

export const near = readyBackend("10.244.3.6", 9376, {
  local: true,
  node: "node-a",
  pod: "default/hostnames-1",
});
export const far = readyBackend("10.244.1.7", 9376, { node: "node-b", zone: "z" });

const hostnamesPort = servicePort({
  service: "hostnames",
  externalTrafficPolicy: "Local",
  cluster: [far],
  local: [near],
  endpoints: [far, near],
  hasEndpoints: true,
  frontends: [
    {
      kind: "ClusterIP",
      address: "10.0.1.175",
      port: 80,
      routes: { pod: everywhere, node: everywhere, outside: forward("cluster", true) },
      sourceRanges: null,
    },
    {
      kind: "NodePort",
      address: null,
      port: 30007,
      routes: { pod: everywhere, node: everywhere, outside: forward("local", false) },
      sourceRanges: null,
    },
    {
      kind: "LoadBalancer",
      address: "203.0.113.5",
      port: 80,
      routes: { pod: { action: "reject" }, node: { action: "drop" }, outside: { action: "drop" } },
      sourceRanges: ["198.51.100.0/24"],
    },
  ],
});

export const hostnames = serviceOf([hostnamesPort], {
  type: "LoadBalancer",
  healthCheckNodePort: 30123,
  localReadyEndpoints: 1,
});

const dnsPort = servicePort({
  namespace: "kube-system",
  service: "dns",
  portName: "dns",
  protocol: "UDP",
  family: "IPv6",
  affinitySeconds: 10_800,
  internalTrafficPolicy: "Local",
  externalTrafficPolicy: "Local",
  endpoints: [far],
  hasEndpoints: true,
  frontends: [{
    kind: "ClusterIP",
    address: "fd00::a",
    port: 53,
    routes: { pod: { action: "drop" }, node: { action: "drop" }, outside: { action: "drop" } },
    sourceRanges: null,
  }],
});

export const dns = serviceOf([dnsPort]);

export const headless: ServicePlan = {
  namespace: "default",
  name: "nginx",
  type: "ClusterIP",
  headless: true,
  ports: [],
  healthCheckNodePort: 0,
  localReadyEndpoints: 0,
};

export const external: ServicePlan = {
  ...headless,
  name: "elsewhere",
  type: "ExternalName",
  headless: false,
  externalName: "example.org",
};

export const plan: Plan = {
  node: {
    name: "node-a",
    addresses: ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    nodePortAddresses: ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    podNetworks: ["10.244.0.0/16"],
  },
  services: new Map(
    [hostnames, dns, headless, external].map((service) => [
      `${service.namespace}/${service.name}`,
      service,
    ]),
  ),
};

const nearCounters: BackendCounters = {
  service: "default/hostnames",
  protocol: "TCP",
  backend: near,
  connections: 7,
  active: 2,
  packets: 70,
  bytes: 7000,
};

/** Echoes the queries, so that tests see what reached the engine and in which order. */
export class EchoEngine implements EngineHandle {
  asked: readonly PacketQuery[] = [];
  failure: Error | null = null;
  #answers = 0;
  totals: EngineCounters = {
    packets: 10,
    bytes: 1000,
    forwarded: 6,
    rejected: 1,
    passed: 1,
    dropped: { malformed: 2 },
    connections: { now: 3, created: 5, limit: 100 },
    retried: 1,
    backends: [nearCounters],
  };

  apply(): Promise<void> {
    return Promise.resolve();
  }

  lookup(queries: readonly PacketQuery[]): Promise<LookupResult[]> {
    if (this.failure !== null) return Promise.reject(this.failure);
    this.asked = queries;
    return Promise.resolve(queries.map((query) => ({
      verdict: "FORWARD" as const,
      service: "default/hostnames",
      frontend: "ClusterIP" as const,
      sourceClass: "pod" as const,
      backend: { address: query.dest, port: query.port },
      backends: [{ address: query.dest, port: query.port, probability: 1 }],
      masquerade: false,
      reason: "echo",
    })));
  }

  async lookupIfChanged(query: PacketQuery): Promise<BasedResult> {
    const [result] = await this.lookup([query]);
    return { basis: Uint32Array.of(++this.#answers), result };
  }

  lookupRecords(): Promise<RecordAnswers> {
    return Promise.reject(new Error("this engine echoes no records"));
  }

  counters(): Promise<EngineCounters> {
    return Promise.resolve(this.totals);
  }

  conntrack() {
    return Promise.resolve({ entries: [], next: null });
  }
}

export class FixedState implements ApiState {
  readonly mode = "userspace";
  readonly programming = true;
  readonly families = FAMILIES;
  readonly ruleOptions = DEFAULT_RULE_OPTIONS;
  readonly node = {};
  readonly events = new EventHub();
  readonly history = new History();
  readonly engine = new EchoEngine();
  report: HealthReport = {
    healthy: true,
    nodeEligible: true,
    currentTime: 2000,
    lastUpdated: 2000,
    status: [{ family: "IPv4", healthy: true, lastUpdated: 2000 }],
  };
  readonly serviceNetworks = ["10.0.0.0/16"];
  plan() {
    return plan;
  }
  fork() {
    return testPlanner();
  }
  revision() {
    return 1;
  }
  problems() {
    return [{ where: "a.yaml", message: "bad" }];
  }
  health() {
    return this.report;
  }
}

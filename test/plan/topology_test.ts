import assert from "node:assert/strict";
import type { SliceEndpoint } from "../../src/cluster/objects.ts";
import { categorizeEndpoints } from "../../src/plan/topology.ts";
import { mergeEndpoints } from "../../src/services/endpoints.ts";
import { describeService } from "../../src/services/service_port.ts";
import { describeSlice } from "../../src/services/slices.ts";
import { endpoint, service, slice } from "../services/objects.ts";

/** Endpoint 10.0.0.N in words: its state, node, and hints. */
function ep(
  n: number,
  state: Parameters<typeof endpoint>[1],
  node: "here" | "there" | undefined,
  zones?: string[],
  nodes?: string[],
): SliceEndpoint {
  return endpoint(`10.0.0.${n}`, state, { node, zones, nodes });
}

const SERVICES = {
  cluster: {},
  internalLocal: { internalTrafficPolicy: "Local" as const },
  externalLocal: { type: "NodePort" as const, externalTrafficPolicy: "Local" as const },
  bothLocal: {
    type: "NodePort" as const,
    internalTrafficPolicy: "Local" as const,
    externalTrafficPolicy: "Local" as const,
  },
  externalLocalUnused: { externalTrafficPolicy: "Local" as const },
};

interface Case {
  name: string;
  policy: keyof typeof SERVICES;
  endpoints: SliceEndpoint[];
  /** The node's zone; "z" when absent. */
  zone?: string;
  /** Last octets of the lists that are expected; absent: empty. */
  cluster?: number[];
  local?: number[];
  /** Whether there are usable endpoints anywhere. */
  any: boolean;
}

const CASES: Case[] = [
  {
    name: "no endpoints",
    policy: "cluster",
    endpoints: [],
    any: false,
  },
  {
    name: "no endpoints, policy Local",
    policy: "bothLocal",
    endpoints: [],
    any: false,
  },
  {
    name: "ready ones of all nodes",
    policy: "cluster",
    endpoints: [ep(1, "ready", "here"), ep(2, "ready", "there"), ep(3, "ready", undefined)],
    cluster: [1, 2, 3],
    any: true,
  },
  {
    name: "ready ones only",
    policy: "cluster",
    endpoints: [ep(1, "ready", "here"), ep(2, "notReady", "here"), ep(3, "draining", "here")],
    cluster: [1],
    any: true,
  },
  {
    name: "none that is ready or draining",
    policy: "cluster",
    endpoints: [ep(1, "notReady", "here"), ep(2, "dead", "there")],
    any: false,
  },

  // Zone hints.
  {
    name: "zone hints: the zone's",
    policy: "cluster",
    endpoints: [ep(1, "ready", "here", ["z"]), ep(2, "ready", "there", ["y"])],
    cluster: [1],
    any: true,
  },
  {
    name: "zone hints: several zones each",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", ["x", "y"]),
      ep(2, "ready", "there", ["y", "z"]),
      ep(3, "ready", "there", ["z"]),
    ],
    cluster: [2, 3],
    any: true,
  },
  {
    name: "zone hints: the node has no zone",
    policy: "cluster",
    zone: "",
    endpoints: [ep(1, "ready", "here", ["z"]), ep(2, "ready", "there", ["y"])],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "zone hints: none for this zone",
    policy: "cluster",
    endpoints: [ep(1, "ready", "here", ["x"]), ep(2, "ready", "there", ["y"])],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "zone hints: a ready endpoint lacks one",
    policy: "cluster",
    endpoints: [ep(1, "ready", "here", ["z"]), ep(2, "ready", "there")],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "zone hints: an endpoint that is not ready lacks one",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", ["z"]),
      ep(2, "ready", "there", ["y"]),
      ep(3, "notReady", "there"),
    ],
    cluster: [1],
    any: true,
  },
  {
    name: "zone hints: the zone's only endpoint is not ready",
    policy: "cluster",
    endpoints: [ep(1, "notReady", "here", ["z"]), ep(2, "ready", "there", ["y"])],
    cluster: [2],
    any: true,
  },
  {
    name: "zone hints: draining ones are used whatever their hints",
    policy: "cluster",
    endpoints: [ep(1, "draining", "here", ["z"]), ep(2, "draining", "there", ["y"])],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "zone hints: draining ones of the zone do not replace ready ones",
    policy: "cluster",
    endpoints: [ep(1, "draining", "here", ["z"]), ep(2, "ready", "there", ["y"])],
    cluster: [2],
    any: true,
  },
  {
    name: "zone hints: policy Local does not heed them, the cluster list does",
    policy: "externalLocal",
    endpoints: [ep(1, "ready", "here", ["y"]), ep(2, "ready", "there", ["z"])],
    cluster: [2],
    local: [1],
    any: true,
  },
  {
    name: "zone hints: internal policy Local does not heed them",
    policy: "internalLocal",
    endpoints: [ep(1, "ready", "here", ["y"]), ep(2, "ready", "there", ["z"])],
    local: [1],
    any: true,
  },

  // Node hints.
  {
    name: "node hints: the node's",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", undefined, ["here"]),
      ep(2, "ready", "there", undefined, ["there"]),
    ],
    cluster: [1],
    any: true,
  },
  {
    name: "node hints: they say for which node, not on which",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", undefined, ["there"]),
      ep(2, "ready", "there", undefined, ["here", "there"]),
    ],
    cluster: [2],
    any: true,
  },
  {
    name: "node hints: they come before zone hints",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", ["y"], ["here"]),
      ep(2, "ready", "there", ["z"], ["there"]),
    ],
    cluster: [1],
    any: true,
  },
  {
    name: "node hints: without one for this node, zone hints",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "there", ["z"], ["there"]),
      ep(2, "ready", "there", ["y"], ["there"]),
    ],
    cluster: [1],
    any: true,
  },
  {
    name: "node hints: one ready endpoint lacks them, so zone hints",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", ["y"], ["here"]),
      ep(2, "ready", "there", ["z"]),
    ],
    cluster: [2],
    any: true,
  },
  {
    name: "node hints: neither kind is complete",
    policy: "cluster",
    endpoints: [
      ep(1, "ready", "here", undefined, ["here"]),
      ep(2, "ready", "there", ["z"]),
    ],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "node hints: work for a node without zone",
    policy: "cluster",
    zone: "",
    endpoints: [
      ep(1, "ready", "here", ["z"], ["here"]),
      ep(2, "ready", "there", ["z"], ["there"]),
    ],
    cluster: [1],
    any: true,
  },

  // Policy Local.
  {
    name: "internal Local: the cluster list is not used",
    policy: "internalLocal",
    endpoints: [ep(1, "ready", "here"), ep(2, "ready", "there")],
    local: [1],
    any: true,
  },
  {
    name: "internal Local: none here, but elsewhere",
    policy: "internalLocal",
    endpoints: [ep(1, "ready", "there")],
    any: true,
  },
  {
    name: "internal Local: none here, draining ones elsewhere",
    policy: "internalLocal",
    endpoints: [ep(1, "draining", "there"), ep(2, "notReady", "here")],
    any: true,
  },
  {
    name: "internal Local: nothing usable",
    policy: "internalLocal",
    endpoints: [ep(1, "notReady", "here"), ep(2, "dead", "there")],
    any: false,
  },
  {
    name: "external Local: both lists",
    policy: "externalLocal",
    endpoints: [ep(1, "ready", "here"), ep(2, "ready", "there")],
    cluster: [1, 2],
    local: [1],
    any: true,
  },
  {
    name: "external Local: none here",
    policy: "externalLocal",
    endpoints: [ep(1, "ready", "there"), ep(2, "ready", undefined)],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "external Local without external addresses is not used",
    policy: "externalLocalUnused",
    endpoints: [ep(1, "ready", "here"), ep(2, "ready", "there")],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "both Local: external traffic still uses the cluster list",
    policy: "bothLocal",
    endpoints: [ep(1, "ready", "here"), ep(2, "ready", "there")],
    cluster: [1, 2],
    local: [1],
    any: true,
  },

  // Terminating ones.
  {
    name: "all draining",
    policy: "cluster",
    endpoints: [ep(1, "draining", "here"), ep(2, "draining", "there"), ep(3, "dead", "there")],
    cluster: [1, 2],
    any: true,
  },
  {
    name: "local draining ones beside remote ready ones",
    policy: "externalLocal",
    endpoints: [ep(1, "draining", "here"), ep(2, "ready", "there"), ep(3, "dead", "here")],
    cluster: [2],
    local: [1],
    any: true,
  },
  {
    name: "local ready ones beside local draining ones",
    policy: "externalLocal",
    endpoints: [ep(1, "draining", "here"), ep(2, "ready", "here"), ep(3, "draining", "there")],
    cluster: [2],
    local: [2],
    any: true,
  },
  {
    name: "local list never falls back to remote ones",
    policy: "externalLocal",
    endpoints: [ep(1, "dead", "here"), ep(2, "draining", "there")],
    cluster: [2],
    any: true,
  },
  {
    name: "serving without terminating is no fallback",
    policy: "bothLocal",
    endpoints: [{
      addresses: ["10.0.0.1"],
      nodeName: "here",
      conditions: { ready: false, serving: true },
    }],
    any: false,
  },
  {
    name: "ready counts even while terminating, as for publishNotReadyAddresses",
    policy: "bothLocal",
    endpoints: [{
      addresses: ["10.0.0.1"],
      nodeName: "here",
      conditions: { ready: true, serving: true, terminating: true },
    }],
    cluster: [1],
    local: [1],
    any: true,
  },
];

for (const { name, policy, endpoints, zone = "z", cluster = [], local = [], any } of CASES) {
  Deno.test(`endpoints by use: ${name}`, () => {
    const nodePort = SERVICES[policy] !== SERVICES.externalLocalUnused &&
      policy !== "cluster" && policy !== "internalLocal";
    const [port] = describeService(
      service("web", {
        ...SERVICES[policy],
        ports: [{ port: 80, protocol: "TCP", ...(nodePort ? { nodePort: 30080 } : {}) }],
      }),
      ["IPv4"],
    ).ports;
    const slices = new Map([["web-1", describeSlice(slice("web", endpoints), ["IPv4"])!]]);
    const view = { nodeName: "here", zone };
    const categories = categorizeEndpoints(mergeEndpoints(slices, port), port, view);
    const octets = (list: typeof categories.cluster) =>
      list.map(({ address }) => Number(address.split(".")[3]));
    assert.deepEqual({
      cluster: octets(categories.cluster),
      local: octets(categories.local),
      any: categories.hasEndpoints,
    }, { cluster, local, any });
  });
}

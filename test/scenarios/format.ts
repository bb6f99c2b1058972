/**
 * The format of scenario files: a configuration, steps that change the cluster, and after each step
 * flows with what must become of them on every data plane.
 *
 * Addresses are chosen so that a driver can build the whole network: the node is 192.168.50.10 and
 * fd00:50::10, the client outside .100 and ::100 in the same networks, pods are in 10.244.0.0/16 and
 * fd00:10:244::/48. Endpoints whose nodeName is the configured node are pods on it. A flow may also
 * come from addresses that nothing has: a driver has to add them where that address would be.
 *
 * @module
 */

import { parse } from "yaml";
import { z } from "zod";
import { type ClusterObject, objectKey } from "../../src/cluster/objects.ts";
import { decodeObject } from "../../src/cluster/schema/object.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { parseAddress, parseNetwork } from "../../src/net/address.ts";
import type { PlannerConfig } from "../../src/plan/node.ts";

/** Names that stand for addresses in `from`. */
const PLACES: Readonly<Record<string, string>> = {
  "client": "192.168.50.100",
  "client6": "fd00:50::100",
  "node": "192.168.50.10",
  "node6": "fd00:50::10",
  "pod": "10.244.0.5",
  "pod6": "fd00:10:244::5",
};

const protocol = z.enum(["TCP", "UDP", "SCTP"]);
const address = z.string().refine((text) => parseAddress(text) !== null, "expected an IP address")
  .transform((text) => parseAddress(text)!);
const network = z.string().refine((text) => parseNetwork(text) !== null, "expected a network");
const place = z.string().transform((text) => PLACES[text] ?? text).pipe(address);

/** "10.0.0.1:80" or "[fd00::1]:80" */
const socketAddress = z.string().transform((text, context) => {
  const match = /^(?:\[(.+)\]|([^:]+)):([0-9]+)$/.exec(text);
  const ip = match === null ? null : parseAddress(match[1] ?? match[2]);
  const port = Number(match?.[3]);
  if (ip !== null && port >= 1 && port <= 65535) return { address: ip, port };
  context.addIssue({ code: "custom", message: "expected ADDRESS:PORT" });
  return z.NEVER;
});

/** "10.0.0.1:80/TCP" */
const destination = z.string().transform((text, context) => {
  const slash = text.lastIndexOf("/");
  const parsed = socketAddress.safeParse(text.slice(0, slash));
  const transport = protocol.safeParse(text.slice(slash + 1));
  if (parsed.success && transport.success) return { ...parsed.data, protocol: transport.data };
  context.addIssue({ code: "custom", message: "expected ADDRESS:PORT/PROTOCOL" });
  return z.NEVER;
});

const expectedBackend = z.union([
  socketAddress.transform((backend) => ({ ...backend, probability: null })),
  z.strictObject({ endpoint: socketAddress, probability: z.number().gt(0).max(1) })
    .transform(({ endpoint, probability }) => ({ ...endpoint, probability })),
]);

const forwarded = z.strictObject({
  /** Everything that a new connection can be given. */
  backends: z.array(expectedBackend).min(1),
  /** "hairpin": only on the way to the backend that is the source itself. */
  masquerade: z.union([z.boolean(), z.literal("hairpin")]),
  /** Whether one client stays with one backend. */
  sticky: z.boolean().default(false),
}).transform(({ backends, ...rest }) => ({
  verdict: "FORWARD" as const,
  ...rest,
  backends: backends.map((backend) => ({
    ...backend,
    probability: backend.probability ?? 1 / backends.length,
  })),
}));

const expectation = z.union([
  z.enum(["REJECT", "DROP", "PASS"]).transform((verdict) => ({
    verdict,
    backends: [],
    masquerade: false as const,
    sticky: false,
  })),
  forwarded,
]);

const reason = z.string().min(10, "expected the documented reason");
const flow = z.strictObject({
  name: z.string(),
  from: place,
  to: destination,
  expect: expectation,
  /**
   * By driver ("lab": all that send real packets there), why it does otherwise: the flow is not run
   * there, or, when it is said what to expect instead, that is what must happen.
   */
  differs: z.record(
    z.string(),
    z.union([
      reason.transform((reason) => ({ reason, expect: null })),
      z.strictObject({ reason, expect: expectation }),
    ]),
  ).default({}),
});

const configuration = z.strictObject({
  node: z.string().default("lab-node"),
  nodeAddresses: z.array(address).default(["192.168.50.10", "fd00:50::10"]),
  /** The node's topology zone; none when absent. */
  zone: z.string().optional(),
  clusterCIDRs: z.array(network).default(["10.244.0.0/16", "fd00:10:244::/48"]),
  detectLocalMode: z.enum(["ClusterCIDR", "none"]).default("ClusterCIDR"),
  masqueradeAll: z.boolean().default(false),
  nodePortAddresses: z.array(z.union([network, z.literal("primary")])).default([]),
  families: z.array(z.enum(["IPv4", "IPv6"])).min(1).default(["IPv4", "IPv6"]),
});

/** A manifest; apiVersion, and addressType where it is IPv4, may be left out. */
const manifest = z.looseObject({ kind: z.enum(["Service", "EndpointSlice", "Node"]) })
  .transform((fields, context): ClusterObject => {
    const defaults = fields.kind === "EndpointSlice"
      ? { apiVersion: "discovery.k8s.io/v1", addressType: "IPv4" }
      : { apiVersion: "v1" };
    const decoded = decodeObject({ ...defaults, ...fields });
    if (decoded.outcome === "object") return decoded.object as ClusterObject;
    for (const { path, message } of decoded.outcome === "broken" ? decoded.issues : []) {
      context.addIssue({ code: "custom", path: [...path], message });
    }
    return z.NEVER;
  });

const step = z.strictObject({
  name: z.string(),
  /** Manifests, complete: what a cluster allocates (cluster IPs, node ports) is written out. */
  apply: z.array(manifest).default([]),
  /** "Kind name" or "Kind namespace/name". */
  delete: z.array(z.string().regex(/^(Service|EndpointSlice|Node) [^ ]+$/)).default([]),
  flows: z.array(flow).min(1),
});

const scenario = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  configuration: configuration.prefault({}),
  steps: z.array(step).min(1),
});

/** One scenario file. */
export type Scenario = z.output<typeof scenario>;
/** What a scenario is configured with. */
export type Configuration = z.output<typeof configuration>;
/** One flow of a scenario. */
export type Flow = z.output<typeof flow>;
/** What must become of a flow. */
export type Expectation = z.output<typeof expectation>;

/** Reads a scenario from YAML; throws an Error that says file, field and what was expected. */
export function parseScenario(text: string, file: string): Scenario {
  const result = scenario.safeParse(parse(text, { merge: true }));
  if (result.success) return result.data;
  throw new Error(`${file}: ${z.prettifyError(result.error)}`);
}

/** What a planner for the configured node is to be made with. */
export function plannerConfig(configuration: Configuration): PlannerConfig {
  const { node, zone: _inTheNodeObject, ...rest } = configuration;
  return { nodeName: node, scheduler: "random", ...rest };
}

/** The Node object of the configured node. */
export function nodeChange({ node, zone, nodeAddresses }: Configuration): ClusterChange {
  return {
    action: "apply",
    object: {
      kind: "Node",
      metadata: {
        name: node,
        ...(zone === undefined ? {} : { labels: { "topology.kubernetes.io/zone": zone } }),
      },
      status: { addresses: nodeAddresses.map((address) => ({ type: "InternalIP", address })) },
    },
  };
}

/** Keeps the objects of a scenario, to turn its steps into changes. */
export class ScenarioCluster {
  readonly #objects = new Map<string, ClusterObject>();

  /** The changes that a step makes; throws when it deletes what is not there. */
  changes(step: Scenario["steps"][number]): ClusterChange[] {
    const deleted = step.delete.map((text): ClusterChange => {
      const [kind, name] = text.split(" ");
      const key = kind === "Node" || name.includes("/") ? text : `${kind} default/${name}`;
      const object = this.#objects.get(key);
      if (object === undefined) throw new Error(`step ${step.name}: there is no ${text} to delete`);
      this.#objects.delete(key);
      return { action: "delete", object };
    });
    const applied = step.apply.map((object): ClusterChange => {
      this.#objects.set(`${object.kind} ${objectKey(object)}`, object);
      return { action: "apply", object };
    });
    return [...deleted, ...applied];
  }
}

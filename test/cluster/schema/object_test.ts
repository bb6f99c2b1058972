import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeObject } from "../../../src/cluster/schema/object.ts";
import { formatPath } from "../../../src/cluster/schema/issues.ts";

type Json = Record<string, unknown>;

const SERVICE = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", labels: { a: "b" } },
  spec: { ports: [{ name: "http", port: 80, targetPort: "http" }], clusterIP: "10.0.0.1" },
  status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
};
const SLICE = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.1.0.1"], conditions: { ready: true } }],
  ports: [{ name: "http", port: 8080 }],
};
const POD = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web-0" },
  spec: { containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }] },
  status: { podIP: "10.1.0.1", conditions: [{ type: "Ready", status: "True" }] },
};
const DEPLOYMENT = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: { replicas: 2, template: { metadata: { labels: { app: "web" } }, spec: POD.spec } },
};
const NODE = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  spec: { podCIDR: "10.1.0.0/24" },
  status: { addresses: [{ type: "InternalIP", address: "192.168.1.1" }] },
};
const ENDPOINTS = {
  apiVersion: "v1",
  kind: "Endpoints",
  metadata: { name: "web" },
  subsets: [{ addresses: [{ ip: "10.1.0.1" }], ports: [{ port: 80 }] }],
};
const INGRESS = {
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name: "web" },
  spec: { rules: [] },
};
const VALID: readonly Json[] = [SERVICE, SLICE, POD, DEPLOYMENT, NODE, ENDPOINTS, INGRESS];

/** The object with the value at a path replaced. */
function replaced(input: unknown, path: readonly (string | number)[], value: unknown): unknown {
  if (path.length === 0) return value;
  const copy: Json | unknown[] = Array.isArray(input) ? [...input] : { ...input as Json };
  const [step, ...rest] = path;
  (copy as Json)[step] = replaced((copy as Json)[step], rest, value);
  return copy;
}

/** "object: field: message" for each issue. */
function lines(input: unknown): string[] {
  const result = decodeObject(input);
  if (result.outcome !== "broken") return [result.outcome];
  return result.issues.map(({ path, message }) =>
    [result.identity, formatPath(path), message].filter((part) => part).join(": ")
  );
}

const NAME = "a DNS name (lower case letters, digits, - and ., at most 253)";
const LABEL = "a DNS label (lower case letters, digits and -, at most 63)";
const PORT = "a whole number from 1 to 65535";

const WRONG: readonly [Json, (string | number)[], unknown, string][] = [
  [SERVICE, ["spec", "ports", 0, "port"], 0, `spec.ports[0].port: expected ${PORT}, found 0`],
  [
    SERVICE,
    ["spec", "ports", 0, "port"],
    65536,
    `spec.ports[0].port: expected ${PORT}, found 65536`,
  ],
  [SERVICE, ["spec", "ports", 0, "port"], 1.5, `spec.ports[0].port: expected ${PORT}, found 1.5`],
  [
    SERVICE,
    ["spec", "ports", 0, "port"],
    "80",
    `spec.ports[0].port: expected ${PORT}, found "80"`,
  ],
  [SERVICE, ["spec", "ports", 0, "port"], null, `spec.ports[0].port: expected ${PORT}, found null`],
  [
    SERVICE,
    ["spec", "ports", 0, "port"],
    undefined,
    `spec.ports[0].port: missing, expected ${PORT}`,
  ],
  [
    SERVICE,
    ["spec", "ports", 0, "nodePort"],
    65536,
    "spec.ports[0].nodePort: expected a whole number from 0 to 65535, found 65536",
  ],
  [
    SERVICE,
    ["spec", "ports", 0, "protocol"],
    "tcp",
    'spec.ports[0].protocol: expected one of TCP, UDP, SCTP, found "tcp"',
  ],
  [
    SERVICE,
    ["spec", "ports", 0, "targetPort"],
    "123",
    `spec.ports[0].targetPort: expected ${PORT} or a port name, found "123"`,
  ],
  [SERVICE, ["spec", "ports"], "http", 'spec.ports: expected a list, found "http"'],
  [SERVICE, ["spec", "ports", 0], 80, "spec.ports[0]: expected an object, found 80"],
  [
    SERVICE,
    ["spec", "clusterIP"],
    "10.0.0.999",
    'spec.clusterIP: expected an IP address or None, found "10.0.0.999"',
  ],
  [
    SERVICE,
    ["spec", "clusterIP"],
    10.0,
    "spec.clusterIP: expected an IP address or None, found 10",
  ],
  [
    SERVICE,
    ["spec", "type"],
    "Cluster",
    "spec.type: expected one of ClusterIP, NodePort, LoadBalancer, ExternalName, " +
    'found "Cluster"',
  ],
  [SERVICE, ["spec", "selector"], { app: 1 }, "spec.selector.app: expected a string, found 1"],
  [
    SERVICE,
    ["spec", "selector"],
    ["app"],
    "spec.selector: expected an object with string values, found a list",
  ],
  [
    SERVICE,
    ["spec", "loadBalancerSourceRanges"],
    ["10.0.0.0/33"],
    'spec.loadBalancerSourceRanges[0]: expected a network, address/prefix, found "10.0.0.0/33"',
  ],
  [
    SERVICE,
    ["spec", "externalIPs"],
    ["127.0.0.1"],
    "spec.externalIPs[0]: expected an IP address that is not unspecified, loopback or " +
    'link-local, found "127.0.0.1"',
  ],
  [
    SERVICE,
    ["spec", "sessionAffinityConfig"],
    { clientIP: { timeoutSeconds: 86401 } },
    "spec.sessionAffinityConfig.clientIP.timeoutSeconds: expected a whole number from 1 to " +
    "86400, found 86401",
  ],
  [SERVICE, ["spec"], undefined, "spec: missing, expected an object"],
  [
    SERVICE,
    ["metadata", "namespace"],
    "Prod_1",
    `metadata.namespace: expected ${LABEL}, found "Prod_1"`,
  ],
  [
    SERVICE,
    ["metadata", "labels"],
    { "app.kubernetes.io/name": true },
    'metadata.labels["app.kubernetes.io/name"]: expected a string, found true',
  ],
  [
    SERVICE,
    ["status", "loadBalancer", "ingress", 0, "ip"],
    "localhost",
    'status.loadBalancer.ingress[0].ip: expected an IP address, found "localhost"',
  ],
  [
    SERVICE,
    ["apiVersion"],
    "apps/v1",
    'apiVersion: expected v1, found "apps/v1"',
  ],
  [
    SLICE,
    ["apiVersion"],
    "discovery.k8s.io/v1beta1",
    'apiVersion: expected discovery.k8s.io/v1, found "discovery.k8s.io/v1beta1"',
  ],
  [
    SLICE,
    ["endpoints", 0, "addresses", 0],
    "fd00::1",
    "endpoints[0].addresses[0]: expected an IPv4 address that is not loopback or link-local, " +
    'found "fd00::1"',
  ],
  [
    SLICE,
    ["endpoints", 0, "addresses"],
    [],
    "endpoints[0].addresses: expected at least one address, found an empty list",
  ],
  [
    SLICE,
    ["endpoints", 0, "conditions", "ready"],
    "yes",
    'endpoints[0].conditions.ready: expected true or false, found "yes"',
  ],
  [
    POD,
    ["status", "podIP"],
    "::1%eth0",
    "status.podIP: expected an IP address that is not " +
    'unspecified, loopback or link-local, found "::1%eth0"',
  ],
  [
    DEPLOYMENT,
    ["spec", "replicas"],
    -1,
    "spec.replicas: expected a whole number from 0 to 10000, found -1",
  ],
  [
    DEPLOYMENT,
    ["spec", "replicas"],
    1e9,
    "spec.replicas: expected a whole number from 0 to 10000, found 1000000000",
  ],
  [
    DEPLOYMENT,
    ["spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"],
    0,
    `spec.template.spec.containers[0].ports[0].containerPort: expected ${PORT}, found 0`,
  ],
  [
    ENDPOINTS,
    ["subsets", 0, "ports", 0, "port"],
    "http",
    `subsets[0].ports[0].port: expected ${PORT}, found "http"`,
  ],
  [INGRESS, ["spec"], [], "spec: expected an object, found an empty list"],
];

for (const [valid, path, value, expected] of WRONG) {
  const { kind, metadata } = valid as { kind: string; metadata: { name: string } };
  Deno.test(`${kind}: ${formatPath(path)} = ${JSON.stringify(value)} is one issue`, () => {
    const input = replaced(valid, path, value);
    const namespace = expected.includes("metadata.namespace") ? "Prod_1" : "default";
    const identity = kind === "Node"
      ? `Node ${metadata.name}`
      : `${kind} ${namespace}/${metadata.name}`;
    assert.deepEqual(lines(input), [`${identity}: ${expected}`]);
    assert.equal(decodeObject(valid).outcome, "object");
  });
}

Deno.test("what is no object, or has no kind or name, is told as far as it is known", () => {
  assert.deepEqual(lines("hello"), ['expected a Kubernetes object, found "hello"']);
  assert.deepEqual(lines([]), ["expected a Kubernetes object, found an empty list"]);
  assert.deepEqual(lines({}), ["kind: missing, expected a string"]);
  assert.deepEqual(lines({ kind: 3 }), ["kind: expected a string, found 3"]);
  assert.deepEqual(lines({ kind: "Service" }), ["Service: apiVersion: missing, expected a string"]);
  assert.deepEqual(lines({ apiVersion: "v1", kind: "Pod", metadata: {}, spec: {} }), [
    `Pod: metadata.name: missing, expected ${NAME}`,
  ]);
  assert.deepEqual(lines(replaced(SERVICE, ["metadata", "name"], "a\nb\u001b[2J")), [
    `Service default/"a\\nb\\u001b[2J": metadata.name: expected ${LABEL}, ` +
    'found "a\\nb\\u001b[2J"',
  ]);
});

Deno.test("other kinds, and the same kinds of other groups, are ignored", () => {
  for (
    const [apiVersion, kind] of [
      ["v1", "ConfigMap"],
      ["v1", "Secret"],
      ["serving.knative.dev/v1", "Service"],
      ["example.com/v1", "constructor"],
    ]
  ) assert.deepEqual(lines({ apiVersion, kind, metadata: 3 }), ["ignored"]);
});

Deno.test("addresses come out canonical, unknown and null fields not at all", () => {
  const input = {
    ...SERVICE,
    metadata: { name: "web", creationTimestamp: null, managedFields: [{}], labels: null },
    spec: {
      ...SERVICE.spec,
      clusterIP: "172.30.0.041",
      externalIPs: ["FD00::0:1"],
      loadBalancerSourceRanges: [" 203.0.113.000/025 "],
      unknown: { deep: 1 },
      healthCheckNodePort: 0,
    },
    status: null,
  };
  assert.deepEqual(decodeObject(input), {
    outcome: "object",
    object: {
      kind: "Service",
      metadata: { name: "web", namespace: "default" },
      spec: {
        type: "ClusterIP",
        clusterIP: "172.30.0.41",
        ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: "http" }],
        externalIPs: ["fd00::1"],
        loadBalancerSourceRanges: ["203.0.113.0/25"],
      },
    },
  });
});

/** API servers do not look at these: what cannot be used of them is left out, as kube-proxy does. */
Deno.test("objects that an API server takes are not refused for what of them is of no use", () => {
  const ports = [{ name: "none", port: 0 }, { name: "http", port: 80 }, { name: "all" }];
  const slice = decodeObject({ ...SLICE, ports });
  assert(slice.outcome === "object" && slice.object.kind === "EndpointSlice");
  assert.deepEqual(slice.object.ports.map(({ port }) => port), [undefined, 80, undefined]);
  const many = Array.from({ length: 5000 }, (_, i) => ({ name: `p${i}`, port: i + 1 }));
  assert.deepEqual(lines({ ...SERVICE, spec: { ...SERVICE.spec, ports: many } }), ["object"]);
  const addresses = ["", "n1.example", "010.0.0.1"]
    .map((address) => ({ type: "InternalIP", address }));
  const node = decodeObject({ ...NODE, status: { addresses } });
  assert(node.outcome === "object" && node.object.kind === "Node");
  assert.deepEqual(node.object.status?.addresses?.map(({ address }) => address), ["10.0.0.1"]);
});

Deno.test("issues of one object are listed up to a limit", () => {
  const ports = Array.from({ length: 50 }, () => ({ port: 0 }));
  const found = lines({ ...SERVICE, spec: { ports } });
  assert.equal(found.length, 21);
  assert.equal(found.at(-1), "Service default/web: 30 more fields are wrong");
});

/** Every path in a value. */
function paths(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  return [
    path,
    ...[...keys].flatMap((key) => paths((value as Json)[key], [...path, key])),
  ];
}

Deno.test("a mutated object is decoded, ignored or broken with one-line issues, never thrown", () => {
  const places = VALID.flatMap((valid) => paths(valid).map((path) => ({ valid, path })));
  fc.assert(
    fc.property(
      fc.constantFrom(...places),
      fc.oneof(fc.anything({ withBigInt: true, withDate: true }), fc.string({ unit: "binary" })),
      ({ valid, path }, value) => {
        const result = decodeObject(replaced(valid, path, value));
        if (result.outcome !== "broken") return;
        assert(result.issues.length > 0);
        for (const issue of result.issues) {
          const line: string = `${result.identity} ${formatPath(issue.path)} ${issue.message}`;
          // deno-lint-ignore no-control-regex
          assert(!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(line), JSON.stringify(line));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

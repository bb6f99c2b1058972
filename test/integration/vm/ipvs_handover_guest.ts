/**
 * A node in ipvs mode goes from kube-proxy to this proxy and back, while connections stay open;
 * ipvs_handover_test.ts runs this in the virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseSave } from "../../../src/dataplane/iptables/save_text.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { ApiDouble } from "../../cluster/kubernetes/api_double.ts";
import type { RawObject } from "../../cluster/kubernetes/api_state.ts";
import { rawNode } from "../../cluster/kubernetes/helpers.ts";
import type { TestNode } from "../../dataplane/ipvs/node.ts";
import { KUBE_PROXY } from "../../kube_proxy.ts";
import { until as untilWithin } from "../../until.ts";
import { IpvsNetwork, NODE_ADDRESS, POD_PORT, PODS } from "./ipvs_network.ts";

const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const NODE = "node1";
/** A machine of one processor on a busy one: starting a proxy takes its time. */
const PATIENCE_MS = 300_000;
const WEB = { address: "10.96.0.1", port: 80 };
const WEB_ID = { ...WEB, protocol: 6 };
/** What runs there: legacy iptables under its plain names, as in most images, and no ip6tables. */
const PROGRAMS = {
  "iptables": "iptables-legacy",
  "iptables-save": "iptables-legacy-save",
  "iptables-restore": "iptables-legacy-restore",
  "ipset": "ipset",
  "modprobe": "modprobe",
};

function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  return untilWithin(condition, what, PATIENCE_MS);
}

interface Endpoint {
  readonly address: string;
  readonly ending?: boolean;
}

/** A Service with its endpoints. */
function serviceWith(
  name: string,
  clusterIP: string,
  endpoints: readonly Endpoint[],
  spec: Record<string, unknown> = {},
  status: Record<string, unknown> = {},
): RawObject[] {
  const metadata = { name, namespace: "default" };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        type: "ClusterIP",
        clusterIP,
        clusterIPs: [clusterIP],
        ipFamilies: ["IPv4"],
        ports: [{ port: 80, protocol: "TCP", targetPort: POD_PORT }],
        ...spec,
      },
      status,
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "", port: POD_PORT, protocol: "TCP" }],
      endpoints: endpoints.map(({ address, ending = false }) => ({
        addresses: [address],
        nodeName: NODE,
        conditions: { ready: !ending, serving: true, terminating: ending },
      })),
    },
  ];
}

const BOTH = PODS.map((address): Endpoint => ({ address }));

/** Services of every type. */
function objects(): RawObject[] {
  const nodePort = (port: number) => [
    { port: 80, protocol: "TCP", targetPort: POD_PORT, nodePort: port },
  ];
  return [
    {
      ...rawNode(NODE),
      status: { addresses: [{ type: "InternalIP", address: NODE_ADDRESS }] },
    },
    ...serviceWith("web", WEB.address, BOTH),
    ...serviceWith("sticky", "10.96.0.2", BOTH, {
      sessionAffinity: "ClientIP",
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
    }),
    ...serviceWith("external", "10.96.0.3", BOTH, { externalIPs: ["203.0.113.9"] }),
    ...serviceWith("node-port", "10.96.0.4", BOTH, { type: "NodePort", ports: nodePort(30080) }),
    ...serviceWith("balanced", "10.96.0.5", BOTH, {
      type: "LoadBalancer",
      ports: nodePort(30081),
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 30082,
      loadBalancerSourceRanges: ["192.168.50.0/25"],
    }, { loadBalancer: { ingress: [{ ip: "203.0.113.5" }] } }),
    ...serviceWith("nobody", "10.96.0.6", []),
  ];
}

/** Our own chains, which nothing of kube-proxy's leads to. */
const OURS = /KUBE-IPVS-(?:POLICY|SHORT-CIRCUIT)/;

/** Rules in other chains that lead to ours. */
function leadingToOurs(lines: readonly string[]): string[] {
  return lines.filter((line) => {
    const rule = / -A (\S+) (.*)/.exec(line);
    return rule !== null && !OURS.test(rule[1]) && OURS.test(rule[2]);
  });
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  return lines.filter((line) => !others.includes(line));
}

/** All that a proxy has programmed, as lines in an order of their own. */
async function programmed(node: TestNode): Promise<string[]> {
  const [servers, sets, saved] = await Promise.all([
    node.output("ipvsadm-save", "-n"),
    node.output("ipset", "save"),
    node.output("iptables-legacy-save"),
  ]);
  const addresses = node.net.addresses.list({ link: "kube-ipvs0", family: "IPv4" });
  const rules = parseSave(saved).flatMap(({ name, chains, rules }) => [
    ...[...chains.keys()].map((chain) => `${name} :${chain}`),
    ...rules.map(({ chain, tokens }) => `${name} -A ${chain} ${tokens.join(" ")}`),
  ]);
  return [
    ...servers.split("\n"),
    ...sets.split("\n").map((line) => line.replace(/ (?:initval|bucketsize) \S+/g, "")),
    ...rules,
    ...addresses.map(({ address }) => `kube-ipvs0 ${address}`),
  ].filter((line) => line !== "").sort();
}

/** A proxy that runs, in the namespace of this thread. */
class Proxy {
  readonly #child: Deno.ChildProcess;

  constructor(program: string, args: readonly string[], readonly path: string) {
    this.#child = new Deno.Command(program, {
      args: [...args],
      env: { PATH: path },
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Resolves when it has brought the node to all that the API server has. */
  async synced(): Promise<void> {
    await until(async () => {
      try {
        const response = await fetch("http://127.0.0.1:10249/metrics");
        const text = await response.text();
        return /^kubeproxy_sync_proxy_rules_duration_seconds_count\{.*"IPv4"\} [1-9]/m.test(text);
      } catch {
        // It does not listen yet.
        return false;
      }
    }, "the first sync is over");
  }

  async end(signal: Deno.Signal): Promise<void> {
    this.#child.kill(signal);
    await this.#child.status;
  }
}

/** A folder with the programs of the node alone. */
async function nodePrograms(): Promise<string> {
  const folder = await Deno.makeTempDir();
  const path = (Deno.env.get("PATH") ?? "").split(":");
  for (const [name, program] of Object.entries(PROGRAMS)) {
    for (const from of path) {
      try {
        await Deno.stat(`${from}/${program}`);
        await Deno.symlink(`${from}/${program}`, `${folder}/${name}`);
        break;
      } catch {
        // Not in this folder.
      }
    }
  }
  return folder;
}

Deno.test("kube-proxy hands a node in ipvs mode over and takes it back: no connection breaks", async () => {
  using network = new IpvsNetwork();
  const { node } = network;
  using home = NetworkNamespace.current();
  node.namespace.enter();
  try {
    await using api = new ApiDouble();
    api.put(...objects());
    const path = await nodePrograms();
    const args = [
      ...[`--master=${api.url}`, "--kube-api-content-type=application/json"],
      ...["--proxy-mode=ipvs", `--hostname-override=${NODE}`, "--cluster-cidr=10.244.0.0/16"],
      // What is the whole machine's is not a namespace's to set.
      ...["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s"],
      "--conntrack-tcp-timeout-close-wait=0s",
    ];
    const kubeProxy = () => new Proxy(KUBE_PROXY, args, path);
    const theirs = kubeProxy();
    await theirs.synced();
    const before = await programmed(node);
    assert.ok(before.some((line) => line.includes(`-r ${PODS[1]}:${POD_PORT} -m -w 1`)));
    const open = Array.from({ length: 4 }, () => network.connect(WEB)!);
    const exchange = () => open.forEach((connection) => connection.exchange());
    const reals = () =>
      node.ipvs.reals(WEB_ID).map(({ address, weight }) => `${address} ${weight}`).sort();
    assert.deepEqual(new Set(open.map(({ pod }) => pod)), new Set(PODS));
    exchange();

    await theirs.end("SIGKILL");
    exchange();
    const ours = new Proxy(
      Deno.execPath(),
      ["run", "-A", "--no-check", "--cached-only", MAIN, ...args],
      path,
    );
    await ours.synced();
    const between = await programmed(node);
    assert.deepEqual(without(before, between), [], "what kube-proxy had stays");
    assert.notDeepEqual(leadingToOurs(between), []);
    exchange();
    // A pod ends; its connections have not.
    const ending = PODS.map((address, i) => ({ address, ending: i === 1 }));
    api.put(...serviceWith("web", WEB.address, ending));
    const draining = [`${PODS[0]} 1`, `${PODS[1]} 0`];
    await until(() => reals().join() === draining.join(), "the pod that ends gets no more");
    exchange();

    await ours.end("SIGTERM");
    exchange();
    const again = kubeProxy();
    await again.synced();
    exchange();
    assert.deepEqual(Array.from({ length: 3 }, () => network.dial(WEB)), Array(3).fill(PODS[0]));
    assert.deepEqual(reals(), draining);
    const after = await programmed(node);
    assert.deepEqual(without(before, after), [
      `-a -t 10.96.0.1:80 -r ${PODS[1]}:${POD_PORT} -m -w 1`,
    ]);
    assert.deepEqual(leadingToOurs(after), []);
    // What we refused to let hang is not refused for ever.
    const nobody = { address: "10.96.0.6", port: 80 };
    assert.equal(network.dial(nobody), null);
    api.put(...serviceWith("nobody", nobody.address, [BOTH[0]]));
    await until(() => network.dial(nobody) === PODS[0], "it answers once it has an endpoint");
    await again.end("SIGKILL");
  } finally {
    home.enter();
  }
});

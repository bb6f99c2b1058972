/** What a container of the image has to do on a node, as the DaemonSet runs it. */

import assert from "node:assert/strict";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { readSysctl } from "../../src/linux/sysctl.ts";
import { ApiDouble } from "../cluster/kubernetes/api_double.ts";
import { rawNode, rawService, rawSlice } from "../cluster/kubernetes/helpers.ts";
import { Pki } from "../cluster/kubernetes/pki.ts";
import { until } from "../until.ts";
import { readProc, type RunningContainer, type StartContainer } from "./container.ts";
import { argumentsOf, base, rights, rightsFor } from "./manifests.ts";

/** The node's name. */
export const NODE = "node-a";
const TOKEN = "token-of-the-service-account";

/** CAP_NET_ADMIN and CAP_NET_RAW: linux/capability.h. */
const CAPABILITIES = 1n << 12n | 1n << 13n;

/** The ConfigMap's files and the pod's credentials, as they are mounted. */
async function mountedFiles(pki: Pki, server: string): Promise<Record<string, string>> {
  const { data } = base("config-map");
  await Deno.mkdir(pki.path("config"));
  await Deno.mkdir(pki.path("account"));
  // A namespace of its own may not set what is the whole machine's.
  const config = `${data["config.conf"]}conntrack: {maxPerCore: 0}\n`;
  await Deno.writeTextFile(pki.path("config/config.conf"), config);
  const kubeconfig = data["kubeconfig.conf"].replace(/server: \S+/, `server: ${server}`);
  await Deno.writeTextFile(pki.path("config/kubeconfig.conf"), kubeconfig);
  await Deno.writeTextFile(pki.path("account/token"), TOKEN);
  await Deno.copyFile(pki.path("ca.crt"), pki.path("account/ca.crt"));
  return {
    "/var/lib/kube-proxy": pki.path("config"),
    "/var/run/secrets/kubernetes.io/serviceaccount": pki.path("account"),
  };
}

/** A node with nothing but loopback, so that nothing can be downloaded, and a cluster of one Service. */
export class NodeBed implements AsyncDisposable {
  readonly api: ApiDouble;
  readonly namespace: NetworkNamespace;
  /** The files of the ConfigMap and of the service account: path there → path here. */
  readonly mounts: Readonly<Record<string, string>>;
  readonly #pki: Pki;

  private constructor(
    pki: Pki,
    namespace: NetworkNamespace,
    api: ApiDouble,
    mounts: Record<string, string>,
  ) {
    this.#pki = pki;
    this.namespace = namespace;
    this.api = api;
    this.mounts = mounts;
  }

  static async create(): Promise<NodeBed> {
    const pki = await Pki.create();
    const tls = await pki.server("IP:127.0.0.1");
    const namespace = NetworkNamespace.create();
    using net = namespace.run(() => Rtnetlink.open());
    net.links.setUp("lo");
    const api = namespace.run(() => new ApiDouble({ tls }));
    api.tokens = new Set([TOKEN]);
    api.put(rawService("web"), rawSlice("web-1", ["10.244.1.7"]), {
      ...rawNode(NODE),
      status: { addresses: [{ type: "InternalIP", address: "192.0.2.10" }] },
    });
    return new NodeBed(pki, namespace, api, await mountedFiles(pki, api.url));
  }

  /** The DaemonSet's container with its capabilities; other arguments than its own may be given. */
  agent(start: StartContainer, args = argumentsOf("switchyard", NODE)): RunningContainer {
    const { capabilities } = base("daemon-set").spec.template.spec.containers[0].securityContext;
    return start({ ...this.#where, args, capabilities: capabilities.add });
  }

  /** A privileged container, as the DaemonSet's init container is. */
  privileged(start: StartContainer, args = argumentsOf("init", NODE)): RunningContainer {
    return start({ ...this.#where, args, capabilities: null });
  }

  get #where() {
    return { mounts: this.mounts, namespace: this.namespace };
  }

  /** The output of a program on the node. */
  output(program: string, ...args: string[]): string {
    const { stdout } = this.namespace.run(() => new Deno.Command(program, { args }).outputSync());
    return new TextDecoder().decode(stdout);
  }

  /** The rules of a table, without counters and the time of the day. */
  rules(table: string, backend: "" | "-nft" | "-legacy" = ""): string {
    const saved = this.output(`iptables${backend}-save`, "-t", table);
    return saved.replaceAll(/^#.*\n/gm, "").replaceAll(/ \[\d+:\d+\]$/gm, "");
  }

  /** What the agent answers: "10256/healthz". */
  ask(portAndPath: string): string {
    return this.output("curl", "-s", "--noproxy", "*", `http://127.0.0.1:${portAndPath}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop();
    this.namespace.close();
    await this.#pki[Symbol.asyncDispose]();
  }
}

/** Has containers program a node: with a read-only root and the DaemonSet's capabilities, offline. */
export async function checkNode(start: StartContainer): Promise<void> {
  await using bed = await NodeBed.create();
  const { api, namespace } = bed;

  const initialized = await bed.privileged(start).ended;
  assert.equal(initialized.code, 0, initialized.stderr);
  const sysctl = (name: string) => namespace.run(() => readSysctl(name));
  assert.equal(sysctl("net.ipv4.conf.all.route_localnet"), "1");
  assert.equal(sysctl("net.netfilter.nf_conntrack_tcp_timeout_established"), "86400");
  assert.deepEqual(api.requests, [], "it does not need the cluster");

  const container = bed.agent(start);
  try {
    await container.says(/^serving 1 Service in iptables mode/m);
    const status = readProc(`${container.pid}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)![1];
    assert.equal(BigInt(`0x${field("CapEff")}`), CAPABILITIES);
    assert.equal(BigInt(`0x${field("CapBnd")}`), CAPABILITIES);
    assert.equal(field("NoNewPrivs"), "1");
    assert.equal(JSON.parse(bed.ask("10256/livez")).healthy, true);
    assert.equal(bed.ask("10249/proxyMode"), "iptables");
    const { ClientConnection, Mode } =
      JSON.parse(bed.ask("10249/configz"))["kubeproxy.config.k8s.io"];
    assert.equal(Mode, "iptables");
    assert.equal(ClientConnection.Kubeconfig, "/var/lib/kube-proxy/kubeconfig.conf");
    assert.equal(JSON.parse(bed.ask("10247/api/v1/conntrack")).trackedBy, "kernel");
    const rules = bed.rules("nat");
    assert.match(rules, /-A KUBE-SERVICES -d 10\.96\.0\.1\/32 .*default\/web/);
    // The first Event of two: the API server tells who began.
    await until(() => api.events.length > 0, "an Event");
    assert.equal(api.events[0]?.body.reason, "Starting");
    const asked = rightsFor(api.requests);
    assert.deepEqual(asked.filter((right) => !rights().includes(right)), []);
    Deno.kill(container.pid, "SIGTERM");
    const { code, stderr } = await container.ended;
    assert.equal(code, 0, stderr);
    assert.equal(bed.rules("nat"), rules, "the rules stay");
  } finally {
    container.kill();
    await container.ended;
  }
}

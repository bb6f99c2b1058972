import assert from "node:assert/strict";
import { ClusterEvents } from "../../src/agent/cluster_events.ts";
import { ApiClient } from "../../src/cluster/kubernetes/api_client.ts";
import { EventRecorder } from "../../src/cluster/kubernetes/event_recorder.ts";
import { KubernetesSource } from "../../src/cluster/kubernetes/source.ts";
import { missingAssets, RealApi } from "../cluster/kubernetes/real_api.ts";
import { missing } from "../requirements.ts";
import { DEPLOY } from "./manifests.ts";

const reason = missingAssets() ?? missing("openssl", "kubectl");
const name = "the README's commands work on a real API server, and the ClusterRole is enough";

/** What there is of kube-proxy in a cluster that kubeadm made. */
const KUBE_PROXY = {
  apiVersion: "apps/v1",
  kind: "DaemonSet",
  metadata: { name: "kube-proxy", namespace: "kube-system" },
  spec: {
    selector: { matchLabels: { "k8s-app": "kube-proxy" } },
    template: {
      metadata: { labels: { "k8s-app": "kube-proxy" } },
      spec: {
        nodeSelector: { "kubernetes.io/os": "linux" },
        containers: [{ name: "kube-proxy", image: "kube-proxy:v1.33.5" }],
      },
    },
  },
};

/** The commands for kubectl and the shell in a section of the README. */
function commands(section: string): string {
  const text = Deno.readTextFileSync(`${DEPLOY}/README.md`);
  const [, body] = new RegExp(`^## ${section}$([^]*?)(?=^## )`, "m").exec(text)!;
  const blocks = [...body.matchAll(/^( *)```\n([^]*?)^ *```$/gm)].map(([, indent, block]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), "")
  );
  return blocks.join("")
    // There is no kubelet that would do what is waited for, and no node to be on.
    .replaceAll(/^(?:kubectl .* rollout status|curl|ipvsadm|nft) .*\n/gm, "")
    .replaceAll("NODE", "node-a").replaceAll("REGISTRY", "registry.example");
}

async function shell(script: string, cwd: string, kubeconfig: string): Promise<void> {
  const { success, stderr, stdout } = await new Deno.Command("sh", {
    args: ["-eux", "-c", script],
    cwd,
    env: { KUBECONFIG: kubeconfig },
  }).output();
  const decoder = new TextDecoder();
  assert.ok(success, decoder.decode(stdout) + decoder.decode(stderr));
}

/** What an agent asks and tells, by the rights of its service account; what went wrong. */
async function work(kubeconfig: string): Promise<readonly string[]> {
  const client = await ApiClient.open({ kubeconfig });
  const source = new KubernetesSource({
    transport: client,
    nodeName: "node-a",
    serviceCIDRs: true,
    isNodeReady: () => true,
  });
  const recorder = new EventRecorder({ writer: client, controller: "switchyard", instance: "a" });
  const abort = new AbortController();
  const first = Promise.withResolvers<readonly string[]>();
  let found: readonly string[] = [];
  const running = source.run({
    changed: (changes) => first.resolve(changes.map(({ object }) => object.kind)),
    problems: (problems) => found = problems.map(({ message }) => message),
  }, abort.signal);
  const kinds = new Set(await first.promise);
  // The API server's own EndpointSlice takes it some seconds.
  for (const kind of ["Node", "Service", "ServiceCIDR"]) assert.ok(kinds.has(kind), kind);
  const events = new ClusterEvents(recorder, "node-a");
  events.started();
  events.started();
  await recorder.stop(30_000);
  const refused = client.get({
    path: "/api/v1/secrets",
    answerMs: 10_000,
    idleMs: 10_000,
    signal: abort.signal,
  });
  await assert.rejects(refused, /status 403/);
  abort.abort();
  await running;
  client.close();
  return found;
}

Deno.test({
  name: reason === null ? name : `${name} (skipped: ${reason})`,
  ignore: reason !== null,
  async fn() {
    await using api = await RealApi.start();
    const folder = await Deno.makeTempDir();
    try {
      const admin = await api.kubeconfig();
      await api.request("POST", "/api/v1/nodes", { metadata: { name: "node-a" } });
      await api.request("POST", "/apis/apps/v1/namespaces/kube-system/daemonsets", KUBE_PROXY);
      await shell(
        `cp -r ${DEPLOY} deploy; kubectl apply -k deploy/overlays/one-node`,
        folder,
        admin,
      );

      await api.user("agent", "/CN=system:serviceaccount:kube-system:switchyard");
      assert.deepEqual(await work(await api.kubeconfig("agent")), []);
      const events = await api.request("GET", "/apis/events.k8s.io/v1/events") as {
        items: { reason: string; series?: { count: number } }[];
      };
      assert.deepEqual(events.items.map(({ reason, series }) => [reason, series?.count]), [
        ["Starting", 2],
      ]);

      // Where only the image is another than kube-proxy's.
      await api.user("proxier", "/CN=system:kube-proxy");
      assert.deepEqual(await work(await api.kubeconfig("proxier")), []);

      const trial = commands("Replace kube-proxy on one node, and go back");
      assert.match(trial, /kubectl apply -k/);
      await shell(trial, folder, admin);
      const path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
      type DaemonSet = typeof KUBE_PROXY & { spec: { template: { spec: { affinity?: unknown } } } };
      const after = await api.request("GET", path) as DaemonSet;
      assert.equal(after.spec.template.spec.affinity, undefined);
      await assert.rejects(
        api.request("GET", path.replace("kube-proxy", "switchyard")),
        /NotFound/,
      );
      await shell(commands("On all nodes"), folder, admin);
      const { spec } = (await api.request("GET", path) as DaemonSet).spec.template;
      assert.equal(spec.containers[0].image, "registry.example/switchyard:0.1.0");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

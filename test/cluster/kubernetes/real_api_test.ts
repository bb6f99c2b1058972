import assert from "node:assert/strict";
import { ApiClient } from "../../../src/cluster/kubernetes/api_client.ts";
import { type ClusterObject, objectKey } from "../../../src/cluster/objects.ts";
import { formatProblem } from "../../../src/cluster/source.ts";
import { KubernetesSource } from "../../../src/cluster/kubernetes/source.ts";
import { missing } from "../../requirements.ts";
import { PATIENCE_MS, until } from "../../until.ts";
import { missingAssets, RealApi } from "./real_api.ts";

const reason = missingAssets() ?? missing("openssl");
const name = "A real kube-apiserver is followed: objects, labels, a crash and a restart";

const SERVICES = "/api/v1/namespaces/default/services";
const SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

function service(name: string) {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name },
    spec: { ports: [{ port: 80 }], selector: { app: name } },
  };
}

function slice(name: string, addresses: readonly string[]) {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ port: 8080 }],
  };
}

Deno.test({
  name: reason === null ? name : `${name} (skipped: ${reason})`,
  ignore: reason !== null,
  async fn() {
    await using api = await RealApi.start();
    await Promise.all(
      Array.from({ length: 5 }, (_, i) => api.request("POST", SERVICES, service(`early-${i}`))),
    );
    await api.request("POST", "/api/v1/nodes", { metadata: { name: "n1", labels: { zone: "a" } } });

    const transport = await ApiClient.open({ kubeconfig: await api.kubeconfig() });
    const objects = new Map<string, ClusterObject>();
    let first: readonly string[] | null = null;
    let problems: readonly string[] = [];
    const abort = new AbortController();
    const running = new KubernetesSource({ transport, nodeName: "n1" }).run({
      changed(changes) {
        first ??= changes.map(({ object }) => `${object.kind} ${objectKey(object)}`);
        for (const { action, object } of changes) {
          const key = `${object.kind} ${objectKey(object)}`;
          if (action === "apply") objects.set(key, object);
          else assert(objects.delete(key), key);
        }
      },
      problems: (found) => problems = found.map(formatProblem),
    }, abort.signal);
    const state = () =>
      [...objects].filter(([, object]) => object.kind !== "Node")
        .map(([key, object]) => `${key} ${object.metadata.resourceVersion}`).sort();
    const converged = async () => {
      const deadline = performance.now() + PATIENCE_MS;
      // The server makes objects of its own, so its state is asked for each time.
      while (first === null || state().join("\n") !== (await api.state()).join("\n")) {
        if (performance.now() > deadline) assert.deepEqual(state(), await api.state());
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };

    try {
      await converged();
      assert.equal(objects.get("Node n1")?.metadata.labels?.zone, "a");
      // The server may have made some of its own since.
      for (let i = 0; i < 5; i++) assert(first!.includes(`Service default/early-${i}`));

      await Promise.all(Array.from({ length: 20 }, async (_, i) => {
        await api.request("POST", SERVICES, service(`s${i}`));
        await api.request("POST", SLICES, slice(`s${i}`, ["10.1.0.1", "10.1.0.2"]));
      }));
      await converged();
      const given = { metadata: { labels: { "service.kubernetes.io/service-proxy-name": "x" } } };
      await api.request("PATCH", `${SERVICES}/s1`, given);
      await api.request("PATCH", `${SLICES}/s2`, { endpoints: [{ addresses: ["10.1.0.9"] }] });
      await api.request("DELETE", `${SERVICES}/s3`);
      await converged();
      assert(!objects.has("Service default/s1") && !objects.has("Service default/s3"));
      assert.deepEqual(problems, []);

      const before = state();
      await api.killServer();
      await until(
        () => /cannot watch, trying again: .*Connection refused/.test(problems.join("\n")),
        "it tells that the server is away",
      );
      assert.deepEqual(state(), before);
      await api.startServer();
      await api.request("DELETE", `${SERVICES}/s4`);
      await api.request("POST", SERVICES, service("late"));
      await converged();
      assert(objects.has("Service default/late") && !objects.has("Service default/s4"));
      while (problems.length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      abort.abort();
      await running;
      transport.close();
    }
  },
});

import assert from "node:assert/strict";
import { loadManifests } from "../../../src/cluster/manifests/load.ts";
import type { EndpointSlice, Service } from "../../../src/cluster/objects.ts";
import { addressesIn } from "../cluster_helpers.ts";

const FOLDER = new URL("../../../examples", import.meta.url).pathname;
const { objects, pods, problems } = await loadManifests({ path: FOLDER, nodeName: "lab-node" });
const services = new Map(
  objects.filter((one): one is Service => one.kind === "Service")
    .map((one) => [one.metadata.name, one]),
);

function slicesOf(service: string): EndpointSlice[] {
  return objects.filter((one): one is EndpointSlice =>
    one.kind === "EndpointSlice" &&
    one.metadata.labels?.["kubernetes.io/service-name"] === service
  );
}

Deno.test("the examples have no problems, and each file says what it shows", async () => {
  assert.deepEqual(problems, []);
  for await (const { name } of Deno.readDir(FOLDER)) {
    const lines = (await Deno.readTextFile(`${FOLDER}/${name}`)).split("\n");
    assert(lines[0].startsWith("# ") && lines[1].startsWith("# "), name);
  }
});

Deno.test("hostnames has the addresses of the Kubernetes documentation", () => {
  const hostnames = services.get("hostnames");
  assert.equal(hostnames?.spec.clusterIP, "10.0.1.175");
  assert.deepEqual(hostnames.spec.ports, [{ protocol: "TCP", port: 80, targetPort: 9376 }]);
  const slices = slicesOf("hostnames");
  assert.deepEqual(addressesIn(slices), ["10.244.3.6", "10.244.1.7", "10.244.2.3"]);
  assert.deepEqual(slices[0].ports, [{ protocol: "TCP", port: 9376 }]);
});

Deno.test("the other Services have what their files promise", () => {
  const endpoints = (name: string) => addressesIn(slicesOf(name)).length;
  assert.equal(services.get("my-nginx")?.spec.clusterIP, "10.233.22.145");
  assert.equal(endpoints("my-nginx"), 2);
  assert.equal(services.get("whoami")?.spec.sessionAffinity, "ClientIP");
  assert.equal(services.get("whoami")?.spec.ports[0].port, 8080);
  assert.equal(services.get("log-collection-external")?.spec.ports[0].nodePort, 30007);
  assert.deepEqual(
    slicesOf("nginx").flatMap((slice) => slice.endpoints.map((one) => one.hostname)),
    ["web-0", "web-1", "web-2"],
  );
  assert.deepEqual(addressesIn(slicesOf("reg-service")), ["192.168.146.90"]);
  assert.equal(services.get("billing")?.spec.externalName, "billing.example.com");
  assert.equal(services.get("storefront")?.spec.loadBalancerSourceRanges?.length, 2);
  assert.equal(services.get("storefront")?.status?.loadBalancer?.ingress?.[0].ip, "203.0.113.80");
  assert.deepEqual(services.get("dual-stack")?.spec.clusterIPs, ["10.96.40.1", "fd00:10:96::4001"]);
  assert.deepEqual(slicesOf("dual-stack").map((slice) => slice.addressType), ["IPv4", "IPv6"]);
  assert.equal(endpoints("dual-stack"), 4);
  assert.equal(endpoints("no-endpoints"), 0);
  assert.deepEqual(slicesOf("udp-echo")[0].ports, [{ name: "echo", protocol: "UDP", port: 7007 }]);
});

Deno.test("every node has pods, and every pod is on the network of its node", () => {
  const prefix = {
    "lab-node": "10.244.1.",
    "paper-node-2": "10.244.2.",
    "paper-node-3": "10.244.3.",
  };
  assert.deepEqual(new Set(pods.map((pod) => pod.spec.nodeName)), new Set(Object.keys(prefix)));
  for (const { spec, status } of pods) {
    assert(status.podIPs[0].startsWith(prefix[spec.nodeName as keyof typeof prefix]));
  }
});

Deno.test("replicas of an example change its endpoints, not those that stay", async () => {
  const text = await Deno.readTextFile(`${FOLDER}/hostnames.yaml`);
  const folder = await Deno.makeTempDir();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const path = `${folder}/hostnames.yaml`;
  for (const replicas of [0, 2, 4]) {
    await Deno.writeTextFile(path, text.replace("replicas: 3", `replicas: ${replicas}`));
    const loaded = await loadManifests({ path });
    const addresses = addressesIn(
      loaded.objects.filter((one): one is EndpointSlice => one.kind === "EndpointSlice"),
    );
    assert.equal(addresses.length, replicas);
    const fixed = ["10.244.3.6", "10.244.1.7", "10.244.2.3"].slice(0, replicas);
    assert.deepEqual(addresses.slice(0, 3), fixed);
  }
});

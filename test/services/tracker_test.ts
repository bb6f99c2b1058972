import assert from "node:assert/strict";
import { HEADLESS_LABEL, PROXY_NAME_LABEL } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { FAMILIES } from "../../src/net/address.ts";
import { ServiceTracker } from "../../src/services/tracker.ts";
import { apply, endpoint, node, remove, service, slice } from "./objects.ts";

function tracked(...changes: ClusterChange[]): ServiceTracker {
  const tracker = new ServiceTracker(FAMILIES);
  tracker.apply(changes);
  tracker.drain();
  return tracker;
}

/** What a tracker says changed after these changes. */
function changed(tracker: ServiceTracker, ...changes: ClusterChange[]): string[] {
  tracker.apply(changes);
  return [...tracker.drain().services].sort();
}

Deno.test("what changed is told once", () => {
  const tracker = new ServiceTracker(FAMILIES);
  assert.deepEqual(changed(tracker, ...apply(service("web"), service("dns"))), [
    "default/dns",
    "default/web",
  ]);
  assert.deepEqual(changed(tracker), []);
  assert.deepEqual(changed(tracker, ...apply(slice("web", ["10.0.0.1"]))), ["default/web"]);
  assert.deepEqual(changed(tracker, ...apply(slice("web", ["10.0.0.2"]))), ["default/web"]);
  assert.deepEqual(changed(tracker, ...remove(slice("web", []))), ["default/web"]);
  assert.deepEqual(changed(tracker, ...remove(service("web"))), ["default/web"]);
  assert.deepEqual([...tracker.keys()], ["default/dns"]);
});

Deno.test("no change: the same again, metadata, a selector, unknown deletions, other kinds", () => {
  const web = service("web");
  const endpoints = slice("web", ["10.0.0.1"]);
  const tracker = tracked(...apply(web, endpoints));
  const annotated = { ...endpoints.metadata, resourceVersion: "7", annotations: { a: "b" } };
  assert.deepEqual(
    changed(
      tracker,
      ...apply(
        web,
        endpoints,
        service("web", { selector: { app: "web" } }, { labels: { app: "web" } }),
        { ...endpoints, metadata: annotated },
        node("some-node"),
      ),
      ...remove(service("unknown"), slice("unknown", [])),
    ),
    [],
  );
});

Deno.test("no change: what is undone before it is asked for", () => {
  const tracker = tracked(...apply(service("web"), slice("web", ["10.0.0.1"])));
  assert.deepEqual(
    changed(
      tracker,
      ...apply(service("web", { clusterIP: "10.96.0.99" }), slice("web", [])),
      ...remove(slice("web", [])),
      ...apply(service("web"), slice("web", ["10.0.0.1"])),
      ...apply(service("brief"), slice("brief", ["10.0.0.2"])),
      ...remove(service("brief"), slice("brief", [])),
    ),
    [],
  );
  assert.equal(tracker.get("default/web").slices.size, 1);
});

Deno.test("the labels that take an object away do so with any value, and act as deletion", () => {
  for (const label of [PROXY_NAME_LABEL, HEADLESS_LABEL]) {
    for (const value of ["", "x", "false"]) {
      const labels = { [label]: value };
      const tracker = tracked(...apply(service("web"), slice("web", ["10.0.0.1"])));
      assert.deepEqual(changed(tracker, ...apply(service("web", {}, { labels }))), ["default/web"]);
      assert.equal(tracker.get("default/web").info, null);
      assert.deepEqual(changed(tracker, ...apply(slice("web", ["10.0.0.1"], { labels }))), [
        "default/web",
      ]);
      assert.equal(tracker.get("default/web").slices.size, 0);
      assert.deepEqual([...tracker.keys()], []);
    }
  }
});

Deno.test("a slice may come to belong to another Service", () => {
  const before = slice("web", ["10.0.0.1"]);
  const after = {
    ...before,
    metadata: { ...before.metadata, labels: { "kubernetes.io/service-name": "dns" } },
  };
  const tracker = tracked(...apply(service("web"), service("dns"), before));
  assert.deepEqual(changed(tracker, ...apply(after)), ["default/dns", "default/web"]);
  assert.equal(tracker.get("default/web").slices.size, 0);
  assert.equal(tracker.get("default/dns").slices.size, 1);
  assert.deepEqual(changed(tracker, ...remove(after)), ["default/dns"]);
});

Deno.test("UDP ports tell which endpoints no longer serve; TCP ports say nothing", () => {
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" as const },
    { name: "dns-tcp", port: 53, protocol: "TCP" as const },
  ];
  const dns = service("dns", { ports });
  const endpoints = (...list: Parameters<typeof slice>[1]) => slice("dns", list, { ports });
  const tracker = new ServiceTracker(FAMILIES);
  const udp = (...changes: ClusterChange[]) => {
    tracker.apply(changes);
    return tracker.drain().udp.map(({ portName, added, removed }) => ({
      portName,
      added,
      removed,
    }));
  };
  const port = (added: string[], removed: string[]) => [{ portName: "dns", added, removed }];

  assert.deepEqual(udp(...apply(dns)), port([], []));
  assert.deepEqual(
    udp(...apply(endpoints("10.0.0.1", "10.0.0.2"))),
    port([
      "10.0.0.1:53",
      "10.0.0.2:53",
    ], []),
  );
  assert.deepEqual(udp(...apply(endpoints("10.0.0.1"))), port([], ["10.0.0.2:53"]));
  // Draining endpoints still serve their flows: nothing is stale yet.
  assert.deepEqual(udp(...apply(endpoints(endpoint("10.0.0.1", "draining")))), []);
  assert.deepEqual(
    udp(...apply(endpoints(endpoint("10.0.0.1", "dead")))),
    port([], ["10.0.0.1:53"]),
  );
  assert.deepEqual(udp(...apply(endpoints("10.0.0.3"))), port(["10.0.0.3:53"], []));
  assert.deepEqual(udp(...remove(dns)), port([], ["10.0.0.3:53"]));
  assert.deepEqual(udp(...apply(service("web"), slice("web", ["10.0.0.1"]))), []);
});

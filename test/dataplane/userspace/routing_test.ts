import assert from "node:assert/strict";
import { close } from "../../../src/linux/libc.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { openTun } from "../../../src/linux/tun.ts";
import { TABLE_LOCAL } from "../../../src/netlink/route/names.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";
import {
  type Capture,
  captureKey,
  diff,
  type UserspaceRules,
} from "../../../src/dataplane/userspace/render.ts";
import {
  CAPTURE_TABLE,
  DEVICE_NAME,
  PRIORITY,
  SERVICE_TABLE,
} from "../../../src/dataplane/userspace/own.ts";
import { NodeRouting } from "../../../src/dataplane/userspace/routing.ts";
import { requires } from "../../requirements.ts";

const nothing: UserspaceRules = { routes: new Map(), captureSource: null, captures: new Map() };

const desired: UserspaceRules = {
  routes: new Map([["10.96.0.1", "192.168.50.10"], ["10.96.0.2", null], ["fd00:96::1", null]]),
  captureSource: "192.168.50.10",
  captures: new Map([
    { address: "192.168.50.10", protocol: "TCP", firstPort: 30000, lastPort: 32767 } as const,
    { address: "192.168.50.10", protocol: "ICMP", firstPort: 0, lastPort: 0 } as const,
    { address: "fd00:50::10", protocol: "UDP", firstPort: 53, lastPort: 53 } as const,
  ].map((capture) => [captureKey(capture), capture])),
};

/** A node of its own with an address, and its network configuration as JSON. */
function withNode(fn: (net: Rtnetlink, snapshot: () => string) => void): void {
  using namespace = NetworkNamespace.create();
  namespace.run(() => {
    using net = Rtnetlink.open();
    net.links.setUp("lo");
    net.links.createVeth({ name: "eth0", peer: { name: "eth1" } });
    net.addresses.add({ link: "eth0", address: "192.168.50.10", prefix: 24 });
    net.addresses.add({ link: "eth0", address: "fd00:50::10", prefix: 64 });
    const snapshot = () => JSON.stringify([net.rules.list(), net.routes.list({ table: 254 })]);
    fn(net, snapshot);
  });
}

Deno.test({
  ...requires("what was applied is read back, and taken back whole", "root", "netns", "tun"),
  fn() {
    withNode((net, snapshot) => {
      const before = snapshot();
      const tun = openTun({ name: DEVICE_NAME });
      const routing = NodeRouting.open(tun);
      assert.deepEqual(routing.read(), nothing);
      routing.apply(diff(nothing, desired));
      assert.deepEqual(routing.read(), desired);
      assert.equal(net.routes.list({ table: SERVICE_TABLE }).length, 3);
      // What is the kernel's, network managers leave alone.
      assert.deepEqual(others(net.rules.list()), []);
      assert.deepEqual(
        [SERVICE_TABLE, CAPTURE_TABLE].flatMap((table) => others(net.routes.list({ table }))),
        [],
      );

      const less: UserspaceRules = {
        routes: new Map([["10.96.0.2", "192.168.50.10"]]),
        captureSource: null,
        captures: new Map([...desired.captures].slice(0, 1)),
      };
      routing.apply(diff(desired, less));
      assert.deepEqual(routing.read(), less);

      routing.remove();
      close(tun.fd);
      assert.equal(snapshot(), before);
    });
  },
});

/** Those that are not marked as the kernel's. */
function others<T extends { readonly origin: unknown }>(list: readonly T[]): T[] {
  return list.filter(({ origin }) => origin !== "kernel");
}

Deno.test({
  ...requires("rules that look like ours, but for a part, stay", "root", "netns", "tun"),
  fn() {
    withNode((net) => {
      const family = "IPv4";
      // As Cilium has it, among others.
      net.rules.add({ family, priority: 100, table: TABLE_LOCAL, origin: "kernel" });
      net.rules.remove({ family, priority: 0, action: "lookup", table: TABLE_LOCAL });
      net.rules.add({ family, priority: PRIORITY.services, table: 7 });
      net.rules.add({ family, priority: PRIORITY.captures, table: SERVICE_TABLE });
      net.rules.add({ family, priority: PRIORITY.local, table: 254 });
      const jump = { family, priority: PRIORITY.fromDevice, action: "goto", target: 100 } as const;
      net.rules.add({ ...jump, inputName: "eth0" });
      const before = JSON.stringify(net.rules.list());
      const tun = openTun({ name: DEVICE_NAME });
      const routing = NodeRouting.open(tun);
      routing.apply(diff(routing.read(), desired));
      routing.remove();
      close(tun.fd);
      assert.equal(JSON.stringify(net.rules.list()), before);
    });
  },
});

Deno.test({
  ...requires("a start after a crash converges to a clean start's state", "root", "netns", "tun"),
  fn() {
    withNode((net) => {
      const clean = openTun({ name: DEVICE_NAME });
      let routing = NodeRouting.open(clean);
      routing.apply(diff(routing.read(), desired));
      const expected = JSON.stringify(net.rules.list());
      // The device vanishes as with its process; the rules stay behind.
      close(clean.fd);
      assert.deepEqual(net.routes.list({ table: SERVICE_TABLE }), []);

      const again = openTun({ name: DEVICE_NAME });
      routing = NodeRouting.open(again);
      assert.deepEqual(routing.read().captures, desired.captures);
      routing.apply(diff(routing.read(), desired));
      assert.equal(JSON.stringify(net.rules.list()), expected);
      assert.deepEqual(routing.read(), desired);
      close(again.fd);
    });
  },
});

Deno.test({
  ...requires("a source that the node does not have is told and left out", "root", "tun"),
  fn() {
    withNode(() => {
      const tun = openTun({ name: DEVICE_NAME });
      const routing = NodeRouting.open(tun);
      const rules: UserspaceRules = {
        routes: new Map([["10.96.0.1", "203.0.113.1"], ["10.96.0.2", null]]),
        captureSource: "203.0.113.2",
        captures: new Map(),
      };
      assert.deepEqual(routing.apply(diff(nothing, rules)), ["203.0.113.1", "203.0.113.2"]);
      assert.deepEqual([...routing.read().routes], [["10.96.0.1", null], ["10.96.0.2", null]]);
      assert.equal(routing.read().captureSource, null);
      close(tun.fd);
    });
  },
});

Deno.test({
  ...requires("what the kernel refuses is named and the rest is done", "root", "tun"),
  fn() {
    withNode(() => {
      const tun = openTun({ name: DEVICE_NAME });
      const routing = NodeRouting.open(tun);
      // No policy rule can name port 65535.
      const refused: Capture = {
        address: "192.168.50.10",
        protocol: "TCP",
        firstPort: 65535,
        lastPort: 65535,
      };
      const [key, capture] = [...desired.captures][0];
      const rules: UserspaceRules = {
        routes: new Map([["10.96.0.1", null]]),
        captureSource: null,
        captures: new Map([[captureKey(refused), refused], [key, capture]]),
      };
      assert.throws(() => routing.apply(diff(nothing, rules)), /ports 65535 to 65535/);
      const read = routing.read();
      assert.deepEqual([...read.routes.keys()], ["10.96.0.1"]);
      assert.deepEqual([...read.captures.keys()], [key]);
      close(tun.fd);
    });
  },
});

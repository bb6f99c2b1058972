import assert from "node:assert/strict";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { type RouteEvent } from "../../../src/netlink/route/events.ts";
import type { RouteSpec } from "../../../src/netlink/route/routes.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";
import type { RuleSpec } from "../../../src/netlink/route/rules.ts";
import { requires } from "../../requirements.ts";

/** A new namespace and its configuration; both go at the end of the block. */
class Node {
  readonly namespace = NetworkNamespace.create();
  readonly net = this.namespace.run(() => Rtnetlink.open());

  [Symbol.dispose](): void {
    this.net.close();
    this.namespace.close();
  }
}

Deno.test({
  ...requires("links: a veth pair carries packets between two namespaces", "root", "netns"),
  async fn() {
    using a = new Node();
    using b = new Node();
    const link = a.net.links.createVeth({
      name: "eth0",
      peer: { name: "uplink", namespaceFd: b.namespace.fd },
      mtu: 9000,
    });
    assert.deepEqual([link.kind, link.mtu, link.up, link.running], ["veth", 9000, true, false]);
    b.net.links.setUp("uplink");
    assert.equal(b.net.links.get("uplink")?.running, true);
    assert.equal(b.net.links.get("uplink")?.mtu, 9000);
    a.net.addresses.add({ link: "eth0", address: "192.0.2.1", prefix: 24 });
    a.net.addresses.add({ link: "eth0", address: "2001:db8::1", prefix: 64 });
    b.net.addresses.add({ link: "uplink", address: "192.0.2.2", prefix: 24 });
    b.net.addresses.add({ link: "uplink", address: "2001:db8::2", prefix: 64 });
    for (const [from, to] of [["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]]) {
      const open = (hostname: string) => () =>
        Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
      const sender = a.namespace.run(open(from));
      const receiver = b.namespace.run(open(to));
      try {
        await sender.send(new TextEncoder().encode(to), receiver.addr);
        const [bytes, source] = await receiver.receive();
        assert.equal(new TextDecoder().decode(bytes), to);
        assert.equal((source as Deno.NetAddr).hostname, from);
      } finally {
        sender.close();
        receiver.close();
      }
    }
  },
});

Deno.test({
  ...requires("links: changed, moved, deleted, and errors that name them", "root", "netns"),
  fn() {
    using a = new Node();
    using b = new Node();
    const { links } = a.net;
    const pair = links.createVeth({ name: "left", peer: { name: "right" } });
    assert.deepEqual(links.list().map((link) => link.name).sort(), ["left", "lo", "right"]);
    assert.equal(links.get("left")?.running, true, "both ends here are set up");
    assert.equal(links.get(pair.index)?.name, "left");
    links.setMtu("left", 1400);
    links.setTxQueueLen(pair.index, 5000);
    assert.equal(links.get("left")?.mtu, 1400);
    assert.equal(links.get("left")?.txQueueLength, 5000);
    const bridge = links.createBridge({ name: "bridge0" });
    links.setMaster("left", "bridge0");
    assert.equal(links.get("left")?.master, bridge.index);
    links.setMaster("left", null);
    assert.equal(links.get("left")?.master, null);
    links.setDown("left");
    assert.equal(links.get("left")?.up, false);
    links.moveToNamespace("right", b.namespace.fd);
    assert.equal(links.get("right"), null);
    assert.equal(b.net.links.get("right")?.kind, "veth");
    links.delete("left");
    assert.equal(b.net.links.get("right"), null, "deleting one end deletes both");
    assert.throws(() => links.setUp("left"), {
      name: "NetlinkError",
      code: "ENODEV",
      message: "set up link left: ENODEV",
    });
    assert.throws(() => links.createBridge({ name: "bridge0" }), { code: "EEXIST" });
    assert.throws(() => links.createBridge({ name: "a-name-that-is-too-long" }), {
      code: "ERANGE",
      message: /create bridge a-name-that-is-too-long: ERANGE \(.*at name\)/,
    });
  },
});

Deno.test({
  ...requires("addresses: added, listed, replaced, removed, many at once", "root", "netns"),
  fn() {
    using node = new Node();
    const { links, addresses } = node.net;
    links.setUp("lo");
    addresses.add({ link: "lo", address: "192.0.2.1" });
    addresses.add({ link: 1, address: "2001:DB8::1" });
    const [v4] = addresses.list({ family: "IPv4" }).filter((a) => a.address === "192.0.2.1");
    assert.deepEqual([v4.prefix, v4.link, v4.scope, v4.tentative], [32, 1, "global", false]);
    const [v6] = addresses.list({ link: "lo", family: "IPv6" })
      .filter((a) => a.address === "2001:db8::1");
    assert.deepEqual([v6.prefix, v6.tentative], [128, false]);
    assert.throws(() => addresses.add({ link: "lo", address: "192.0.2.1" }), { code: "EEXIST" });
    addresses.replace({ link: "lo", address: "192.0.2.1" });
    addresses.remove({ link: "lo", address: "192.0.2.1" });
    assert.throws(() => addresses.remove({ link: "lo", address: "192.0.2.1" }), {
      code: "EADDRNOTAVAIL",
    });
    assert.throws(() => addresses.add({ link: "nope", address: "192.0.2.1" }), { code: "ENODEV" });
    assert.throws(() => addresses.add({ link: "lo", address: "192.0.2.256" }), TypeError);
    const many = Array.from({ length: 600 }, (_, i) => ({
      link: "lo",
      address: i % 2 === 0 ? `10.0.${i >> 8}.${i & 255}` : `2001:db8:1::${i.toString(16)}`,
    }));
    assert(addresses.addAll(many).every((result) => result === null));
    const listed = new Set(addresses.list({ link: "lo" }).map((a) => a.address));
    assert(many.every(({ address }) => listed.has(address)));
    assert(addresses.removeAll(many).every((result) => result === null));
    assert.equal(addresses.list({ link: "lo" }).length, 3);
  },
});

Deno.test({
  ...requires("routes: every kind is read back as it was given", "root", "netns"),
  fn() {
    using node = new Node();
    const { links, addresses, routes } = node.net;
    links.setUp("lo");
    const { index } = links.createVeth({ name: "eth0", peer: { name: "eth1" } });
    addresses.add({ link: "eth0", address: "192.0.2.1", prefix: 24 });
    addresses.add({ link: "eth0", address: "2001:db8::1", prefix: 64 });
    const given: RouteSpec[] = [
      { destination: "0.0.0.0/0", gateway: "192.0.2.254" },
      { destination: "10.96.0.0/12", link: "eth0", preferredSource: "192.0.2.1", mtu: 1400 },
      { destination: "10.244.1.0/24", gateway: "198.51.100.9", link: "eth0", onlink: true },
      { destination: "203.0.113.0/24", type: "local", link: "lo" },
      { destination: "10.1.0.0/16", type: "unreachable", table: 100 },
      { destination: "10.2.0.0/16", type: "blackhole", table: 70000, metric: 7, origin: 99 },
      { destination: "::/0", gateway: "2001:db8::fe" },
      { destination: "2001:db8:5::/48", gateway: "2001:db8:9::1", link: index, onlink: true },
      { destination: "2001:db8:6::1", type: "local", link: "lo" },
      { destination: "2001:db8:7::/48", type: "prohibit", table: 100 },
    ];
    for (const spec of given) routes.add(spec);
    const find = (destination: string, table: number) =>
      routes.list({ table }).find((route) => route.destination === destination);
    assert.equal(find("0.0.0.0/0", 254)?.gateway, "192.0.2.254");
    const cluster = find("10.96.0.0/12", 254);
    assert.deepEqual(
      [cluster?.link, cluster?.scope, cluster?.preferredSource, cluster?.mtu],
      [index, "link", "192.0.2.1", 1400],
    );
    assert.equal(find("10.244.1.0/24", 254)?.onlink, true);
    assert.deepEqual(find("203.0.113.0/24", 255)?.type, "local");
    assert.deepEqual(find("203.0.113.0/24", 255)?.scope, "host");
    assert.equal(find("10.1.0.0/16", 100)?.type, "unreachable");
    const blackhole = find("10.2.0.0/16", 70000);
    assert.deepEqual([blackhole?.type, blackhole?.metric, blackhole?.origin], ["blackhole", 7, 99]);
    assert.equal(find("::/0", 254)?.gateway, "2001:db8::fe");
    assert.equal(find("2001:db8:5::/48", 254)?.onlink, true);
    assert.equal(find("2001:db8:6::1/128", 255)?.type, "local");
    assert.equal(find("2001:db8:7::/48", 100)?.type, "prohibit");
    assert.deepEqual(routes.list({ origin: 99 }).map((r) => r.destination), ["10.2.0.0/16"]);
    assert.throws(() => routes.add(given[0]), { code: "EEXIST" });
    routes.replace({ destination: "0.0.0.0/0", gateway: "192.0.2.253" });
    assert.equal(find("0.0.0.0/0", 254)?.gateway, "192.0.2.253");
    for (const spec of given.slice(1)) routes.remove(spec);
    routes.remove({ destination: "0.0.0.0/0" });
    assert.throws(() => routes.remove({ destination: "0.0.0.0/0" }), { code: "ESRCH" });
    assert.deepEqual(routes.list({ origin: "static" }), []);
    assert.throws(() => routes.add({ destination: "10.0.0.0/33" }), TypeError);
    assert.throws(
      () => routes.add({ destination: "10.0.0.0/8", gateway: "2001:db8::1", link: "eth0" }),
      TypeError,
    );
  },
});

Deno.test({
  ...requires("routes: ten thousand at once", "root", "netns"),
  fn() {
    using node = new Node();
    node.net.links.setUp("lo");
    const specs: RouteSpec[] = Array.from({ length: 10_000 }, (_, i) => ({
      destination: `10.96.${i >> 8}.${i & 255}`,
      link: "lo",
      origin: 99,
    }));
    assert(node.net.routes.addAll(specs).every((result) => result === null));
    const listed = new Set(node.net.routes.list({ origin: 99 }).map((route) => route.destination));
    assert.equal(listed.size, specs.length);
    assert(specs.every(({ destination }) => listed.has(`${destination}/32`)));
    assert(node.net.routes.addAll(specs).every((result) => result?.code === "EEXIST"));
    assert(node.net.routes.removeAll(specs).every((result) => result === null));
    assert.deepEqual(node.net.routes.list({ origin: 99 }), []);
  },
});

Deno.test({
  ...requires("rules: read back as they were given, never twice", "root", "netns"),
  fn() {
    using node = new Node();
    const { rules } = node.net;
    const given: RuleSpec[] = [
      {
        family: "IPv4",
        priority: 50,
        table: 1000,
        ipProtocol: 6,
        destinationPorts: { start: 30000, end: 32767 },
        inputName: "lo",
      },
      {
        family: "IPv4",
        priority: 51,
        table: 254,
        source: "10.0.0.0/8",
        destination: "192.0.2.1/32",
      },
      {
        family: "IPv4",
        priority: 52,
        action: "unreachable",
        sourcePorts: { start: 9, end: 9 },
        ipProtocol: 17,
      },
      { family: "IPv6", priority: 50, table: 70000, mark: 0x4000, markMask: 0x4000, invert: true },
      { family: "IPv6", priority: 53, table: 254, suppressPrefixLength: 0, outputName: "lo" },
      { family: "IPv4", priority: 54, table: 255, origin: 99 },
    ];
    for (const spec of given) assert.equal(rules.ensure(spec), true);
    for (const spec of given) assert.equal(rules.ensure(spec), false);
    assert.throws(() => rules.add(given[0]), { code: "EEXIST" });
    const listed = rules.list().filter((rule) => rule.priority >= 50 && rule.priority < 60);
    assert.equal(listed.length, given.length);
    for (const spec of given) {
      const found = rules.list({ family: spec.family, priority: spec.priority });
      assert.equal(found.length, 1);
      assert.deepEqual({ ...found[0], ...spec }, found[0]);
      rules.remove(spec);
    }
    assert.throws(() => rules.remove(given[0]), { code: "ENOENT" });
    assert.equal(rules.list({ family: "IPv4" }).length, 3, "only the kernel's own are left");
    rules.add(given[1]);
    rules.add({ ...given[1], source: "10.1.0.0/16" });
    assert.equal(rules.removeAll({ family: "IPv4", priority: 51 }), 2);
    assert.throws(
      () => rules.add({ family: "IPv6", priority: 1, table: 254, source: "10.0.0.0/8" }),
      TypeError,
    );
    const ports = { start: 5, end: 4 };
    assert.throws(
      () =>
        rules.add({ family: "IPv4", priority: 1, table: 254, ipProtocol: 6, sourcePorts: ports }),
      RangeError,
    );
  },
});

Deno.test({
  ...requires("rules: the local table's rule can be moved behind others", "root", "netns"),
  fn() {
    using node = new Node();
    const { rules } = node.net;
    rules.add({ family: "IPv4", priority: 100, table: 255, origin: "kernel" });
    rules.remove({ family: "IPv4", priority: 0, table: 255 });
    assert.deepEqual(rules.list({ family: "IPv4" }).map((rule) => rule.priority), [
      100,
      32766,
      32767,
    ]);
  },
});

Deno.test({
  ...requires("events: links, addresses, routes and rules, until closed", "root", "netns"),
  async fn() {
    using node = new Node();
    const { links, addresses, rules } = node.net;
    const subscription = node.namespace.run(() =>
      Rtnetlink.subscribe(["links", "addresses", "routes", "rules"])
    );
    links.createBridge({ name: "bridge0" });
    links.setUp("bridge0");
    addresses.add({ link: "bridge0", address: "192.0.2.1", prefix: 24 });
    rules.add({ family: "IPv4", priority: 9, table: 254 });
    addresses.remove({ link: "bridge0", address: "192.0.2.1", prefix: 24 });
    const describe = (event: RouteEvent): string => {
      switch (event.kind) {
        case "link":
          return `${event.change} link ${event.link.name} ${event.link.up ? "up" : "down"}`;
        case "address":
          return `${event.change} address ${event.address.address}`;
        case "route":
          return `${event.change} route ${event.route.destination}`;
        case "rule":
          return `${event.change} rule ${event.rule.priority}`;
        case "overrun":
          return "overrun";
      }
    };
    const seen: string[] = [];
    for await (const event of subscription) {
      seen.push(describe(event));
      if (seen.at(-1) === "deleted address 192.0.2.1") setTimeout(() => subscription.close(), 1);
    }
    const expected = [
      "new link bridge0 down",
      "new link bridge0 up",
      "new address 192.0.2.1",
      "new route 192.0.2.0/24",
      "new rule 9",
      "deleted address 192.0.2.1",
    ];
    for (const what of expected) assert(seen.includes(what), `${what} in ${seen.join("; ")}`);
  },
});

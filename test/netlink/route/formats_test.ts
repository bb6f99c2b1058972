import assert from "node:assert/strict";
import { readAddress } from "../../../src/netlink/route/addresses.ts";
import { readEvent } from "../../../src/netlink/route/events.ts";
import { readLink } from "../../../src/netlink/route/links.ts";
import { readRoute } from "../../../src/netlink/route/routes.ts";
import { readRule } from "../../../src/netlink/route/rules.ts";
import { checkDamaged, recorded } from "../fixture.ts";

Deno.test("rtnetlink: recorded links", () => {
  const links = recorded("links").map(readLink);
  const byName = new Map(links.map((link) => [link.name, link]));
  const lo = byName.get("lo");
  assert.deepEqual([lo?.index, lo?.kind, lo?.mtu, lo?.up, lo?.running], [
    1,
    null,
    65536,
    true,
    true,
  ]);
  const eth0 = byName.get("eth0");
  const bridge = byName.get("bridge0");
  assert.deepEqual([eth0?.kind, eth0?.mtu, eth0?.up, eth0?.running], ["veth", 9000, true, false]);
  assert.equal(eth0?.master, bridge?.index);
  assert.match(eth0?.address ?? "", /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  assert.deepEqual([bridge?.kind, bridge?.up, bridge?.master], ["bridge", false, null]);
});

Deno.test("rtnetlink: recorded addresses", () => {
  const addresses = recorded("addresses").map(readAddress);
  const text = addresses.map((a) => `${a?.address}/${a?.prefix} ${a?.scope} ${a?.link}`);
  assert.deepEqual(text.filter((line) => !line.includes("fe80::")), [
    "127.0.0.1/8 host 1",
    "192.0.2.1/24 global 2",
    "::1/128 host 1",
    "2001:db8::1/64 global 2",
  ]);
});

Deno.test("rtnetlink: recorded routes", () => {
  const routes = recorded("routes").map(readRoute);
  const to = (destination: string) => routes.find((route) => route?.destination === destination);
  assert.deepEqual(to("10.96.0.0/12"), {
    family: "IPv4",
    destination: "10.96.0.0/12",
    type: "unicast",
    table: 254,
    scope: "global",
    origin: "static",
    link: 2,
    gateway: "198.51.100.1",
    onlink: true,
    preferredSource: "192.0.2.1",
    metric: 50,
    mtu: 1400,
  });
  assert.equal(to("203.0.113.0/24")?.type, "local");
  assert.equal(to("203.0.113.0/24")?.table, 255);
  assert.equal(to("2001:db8:1::/48")?.type, "unreachable");
  assert.equal(to("2001:db8:1::/48")?.table, 1000);
});

Deno.test("rtnetlink: recorded rules", () => {
  const rules = [...recorded("rules-ipv4"), ...recorded("rules-ipv6")].map(readRule);
  const at = (priority: number) =>
    JSON.parse(JSON.stringify(rules.find((rule) => rule?.priority === priority)));
  assert.deepEqual(at(90), {
    family: "IPv4",
    priority: 90,
    action: "lookup",
    table: 1000,
    source: "10.0.0.0/8",
    inputName: "eth0",
    ipProtocol: 6,
    destinationPorts: { start: 30000, end: 32767 },
    invert: false,
    origin: "static",
  });
  assert.deepEqual(at(91), {
    family: "IPv6",
    priority: 91,
    action: "prohibit",
    destination: "2001:db8:2::/64",
    mark: 0x4000,
    markMask: 0xf000,
    invert: true,
    origin: "static",
  });
});

Deno.test("rtnetlink: notifications with any bytes are read or refused", () => {
  checkDamaged(
    ["links", "addresses", "routes", "rules-ipv4", "rules-ipv6"].flatMap(recorded),
    readEvent,
    (message) => readEvent({ ...message, type: message.type + 1 }),
    (message) => readEvent({ ...message, type: 99 }),
  );
});

import assert from "node:assert/strict";
import type { Protocol } from "../../../src/cluster/objects.ts";
import { servesUdp, staleUdp, touchesUdp } from "../../../src/dataplane/conntrack/stale_udp.ts";
import { familyOf } from "../../../src/net/address.ts";
import type { Connection } from "../../../src/netlink/netfilter/conntrack.ts";
import { plannerOf } from "../iptables/plans.ts";
import { apply, ingress, service, slice } from "../../services/objects.ts";

const DNS = service("dns", {
  type: "LoadBalancer",
  ports: [{ port: 53, protocol: "UDP", nodePort: 30053 }, {
    name: "tcp",
    port: 53,
    protocol: "TCP",
    nodePort: 30054,
  }],
  externalIPs: ["203.0.113.1"],
}, { status: ingress("203.0.113.2") });

const ENDPOINTS = slice("dns", [
  "10.180.0.1",
  { addresses: ["10.180.0.2"], conditions: { ready: false, serving: true, terminating: true } },
  { addresses: ["10.180.0.3"], conditions: { ready: false, serving: false } },
], { ports: [{ port: 5353, protocol: "UDP" }, { name: "tcp", port: 5353, protocol: "TCP" }] });

const NOBODY = service("nobody", {
  clusterIP: "10.96.0.11",
  ports: [{ port: 53, protocol: "UDP" }],
});

const { plan } = plannerOf([DNS, ENDPOINTS, NOBODY]);

/** "10.96.0.10:53" dialled, "10.180.0.1:5353" answering. */
function flow(dialled: string, answering: string, protocol = 17): Connection {
  const split = (text: string): [string, number] => {
    const colon = text.lastIndexOf(":");
    return [text.slice(0, colon), Number(text.slice(colon + 1))];
  };
  const [destination, destinationPort] = split(dialled);
  const [source, sourcePort] = split(answering);
  const client = { address: "192.0.2.7", port: 40000 };
  return {
    family: familyOf(destination),
    original: {
      protocol,
      source: client.address,
      sourcePort: client.port,
      destination,
      destinationPort,
    },
    reply: {
      protocol,
      source,
      sourcePort,
      destination: client.address,
      destinationPort: client.port,
    },
    zone: 0,
    id: 1,
    status: 0,
    mark: 0,
    timeout: 30,
    tcpState: null,
    startedAtMs: null,
    counters: null,
  };
}

const isStale = (connection: Connection, family: "IPv4" | "IPv6" = "IPv4") =>
  staleUdp(plan, family, [connection]).length === 1;

Deno.test("flows to an endpoint that serves stay, ready or not", () => {
  for (
    const dialled of ["10.96.0.10:53", "203.0.113.1:53", "203.0.113.2:53", "192.168.50.10:30053"]
  ) {
    assert.equal(isStale(flow(dialled, "10.180.0.1:5353")), false, dialled);
    assert.equal(isStale(flow(dialled, "10.180.0.2:5353")), false, dialled);
  }
});

Deno.test("flows to who does not serve are stale, by every kind of frontend", () => {
  for (const dialled of ["10.96.0.10:53", "203.0.113.1:53", "203.0.113.2:53", "10.9.9.9:30053"]) {
    for (const answering of ["10.180.0.3:5353", "10.180.0.9:5353", "10.180.0.1:53", dialled]) {
      assert.equal(isStale(flow(dialled, answering)), true, `${dialled} ${answering}`);
    }
  }
});

Deno.test("nothing else is stale", () => {
  const gone = "10.180.0.9:5353";
  // Other protocols and ports, Services without endpoints, no Service at all, the other family.
  assert.equal(isStale(flow("10.96.0.10:53", gone, 6)), false);
  assert.equal(isStale(flow("10.96.0.10:54", gone)), false);
  assert.equal(isStale(flow("192.168.50.10:30054", gone)), false);
  assert.equal(isStale(flow("10.96.0.11:53", gone)), false);
  assert.equal(isStale(flow("10.180.0.9:5353", gone)), false);
  assert.equal(isStale(flow("10.96.0.10:53", gone), "IPv6"), false);
});

Deno.test("only changes of Services with UDP ports touch flows", () => {
  const change = (protocol: Protocol) => {
    const planner = plannerOf([]);
    return planner.update(apply(service("web", { ports: [{ port: 80, protocol }] })));
  };
  assert.equal(touchesUdp(change("UDP")), true);
  assert.equal(touchesUdp(change("TCP")), false);
  assert.equal(touchesUdp({ updated: [] }), false);
});

Deno.test("flows matter only where UDP has an endpoint, in the family", () => {
  assert.equal(servesUdp(plan, "IPv4"), true);
  assert.equal(servesUdp(plan, "IPv6"), false);
  assert.equal(servesUdp(plannerOf([NOBODY]).plan, "IPv4"), false);
});

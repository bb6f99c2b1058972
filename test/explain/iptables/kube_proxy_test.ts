import assert from "node:assert/strict";
import type { Answer } from "../../../src/explain/answer.ts";
import {
  ask,
  balance,
  CLIENT,
  dump,
  endpoints,
  NODE,
  type Parts,
  POD,
  PODS,
} from "./kube_proxy_dump.ts";

const HOSTNAMES = "default/hostnames";
const ENDPOINTS = PODS.map((pod) => `${pod}:9376`);

/** default/hostnames: cluster IP 10.0.1.175:80, three pods, cluster CIDR 10.244.0.0/16. */
const hostnames: Parts = {
  services: [
    `-A KUBE-SERVICES -d 10.0.1.175/32 -p tcp -m comment --comment "${HOSTNAMES} cluster IP" -m tcp --dport 80 -j KUBE-SVC-H`,
  ],
  nat: [
    `-A KUBE-SVC-H ! -s 10.244.0.0/16 -d 10.0.1.175/32 -p tcp -m comment --comment "${HOSTNAMES} cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ`,
    ...balance("SVC", "H", HOSTNAMES, ENDPOINTS),
    ...endpoints("H", HOSTNAMES, ENDPOINTS),
  ],
};

/** Addresses of the backends, in order. */
const addresses = (answer: Answer) => answer.backends.map(({ address }) => address);

/** Every rule on the way, as "TABLE CHAIN RULE". */
const rules = (answer: Answer) =>
  answer.steps.filter(({ rule }) => rule !== null)
    .map(({ table, chain, rule }) => `${table} ${chain} ${rule}`);

function assertThirds(answer: Answer): void {
  assert.equal(answer.backends.length, 3);
  for (const { probability } of answer.backends) {
    assert(Math.abs(probability - 1 / 3) < 1e-9, `${probability}`);
  }
  const total = answer.backends.reduce((sum, { probability }) => sum + probability, 0);
  assert(Math.abs(total - 1) < 1e-15, `${total}`);
}

Deno.test("a cluster IP goes to every endpoint, each with a third", () => {
  const answer = ask(dump(hostnames), { source: POD, dest: "10.0.1.175" });
  assert.equal(answer.verdict, "FORWARD");
  assert.equal(answer.service, HOSTNAMES);
  assert.deepEqual(addresses(answer), PODS);
  assert.deepEqual(new Set(answer.backends.map(({ port }) => port)), new Set([9376]));
  assertThirds(answer);
  assert.equal(answer.masquerade, false);
  assert.deepEqual(answer.unknown, []);
});

Deno.test("the steps are the rules that acted, chain by chain", () => {
  const answer = ask(dump(hostnames), { source: POD, dest: "10.0.1.175" });
  const [first] = answer.outcomes;
  assert.deepEqual(
    first.steps.map((index) => answer.steps[index])
      .map(({ hook, table, chain, rule, action }) => `${hook} ${table} ${chain} ${rule}: ${action}`)
      .slice(0, 5),
    [
      "PREROUTING nat PREROUTING 1: jumps to KUBE-SERVICES",
      "PREROUTING nat KUBE-SERVICES 1: jumps to KUBE-SVC-H",
      "PREROUTING nat KUBE-SVC-H 2: jumps to KUBE-SEP-H1; by chance, probability 0.333333",
      "PREROUTING nat KUBE-SEP-H1 2: destination becomes 10.244.1.7:9376",
      "null null null null: on through the node",
    ],
  );
  const text = answer.steps.find(({ chain }) => chain === "KUBE-SEP-H1")?.text;
  assert.equal(
    text,
    "-A KUBE-SEP-H1 -p tcp -m comment --comment default/hostnames -m tcp " +
      "-j DNAT --to-destination 10.244.1.7:9376",
  );
});

Deno.test("sources outside the cluster are masqueraded", () => {
  for (const source of [CLIENT, NODE]) {
    const answer = ask(dump(hostnames), { source, dest: "10.0.1.175" });
    assert.equal(answer.masquerade, true, source);
    assert(answer.backends.every(({ masquerade }) => masquerade));
    assertThirds(answer);
  }
});

Deno.test("only the connection of a pod to itself is masqueraded: all together is not", () => {
  const answer = ask(dump(hostnames), { source: PODS[1], dest: "10.0.1.175" });
  assert.equal(answer.masquerade, false);
  assert.deepEqual(answer.backends.map(({ masquerade }) => masquerade), [false, true, false]);
});

Deno.test("another protocol or port of a cluster IP passes as it is", () => {
  const flows = [{ protocol: "UDP" as const }, { port: 81 }, { protocol: "SCTP" as const }];
  for (const change of flows) {
    const answer = ask(dump(hostnames), { source: POD, dest: "10.0.1.175", ...change });
    assert.equal(answer.verdict, "PASS");
    assert.equal(answer.service, null);
    assert.deepEqual(answer.backends, []);
    assert.equal(answer.masquerade, false);
  }
});

Deno.test("no endpoints: rejected, also when the node itself asks", () => {
  const text = dump({
    filter: [
      '-A KUBE-SERVICES -d 10.0.1.176/32 -p tcp -m comment --comment "default/empty:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
      '-A KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "default/empty:http has no endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j REJECT --reject-with icmp-port-unreachable',
    ],
  });
  for (const source of [POD, CLIENT, NODE]) {
    const answer = ask(text, { source, dest: "10.0.1.176" });
    assert.equal(answer.verdict, "REJECT", source);
    assert.equal(answer.service, "default/empty:http");
    assert.equal(answer.masquerade, false);
    assert.match(answer.steps.at(-1)!.action, /rejected with icmp-port-unreachable/);
  }
  assert.equal(ask(text, { dest: NODE, port: 30080 }).verdict, "REJECT");
  assert.equal(ask(text, { dest: "10.9.9.9", port: 30080 }).verdict, "PASS");
});

const nodePort: Parts = {
  nat: [
    "-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment default/web -m tcp --dport 30007 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-W",
    "-A KUBE-NODEPORTS -p tcp -m comment --comment default/web -m tcp --dport 30007 -j KUBE-EXT-W",
    '-A KUBE-EXT-W -m comment --comment "masquerade traffic for default/web external destinations" -j KUBE-MARK-MASQ',
    "-A KUBE-EXT-W -j KUBE-SVC-W",
    ...balance("SVC", "W", "default/web", ENDPOINTS),
    ...endpoints("W", "default/web", ENDPOINTS),
  ],
};

Deno.test("a node port answers on the node's addresses and on loopback", () => {
  for (const [source, dest] of [[CLIENT, NODE], [NODE, NODE], ["127.0.0.1", "127.0.0.1"]]) {
    const answer = ask(dump(nodePort), { source, dest, port: 30007 });
    assert.equal(answer.verdict, "FORWARD", source);
    assert.equal(answer.service, "default/web");
    assert.equal(answer.masquerade, true);
    assertThirds(answer);
    assert.equal(rules(answer).includes("nat KUBE-NODEPORTS 1"), source === "127.0.0.1");
  }
  assert.equal(ask(dump(nodePort), { dest: "192.168.0.3", port: 30007 }).verdict, "PASS");
  assert.equal(ask(dump(nodePort), { dest: NODE, port: 30008 }).verdict, "PASS");
});

Deno.test("packets from elsewhere to loopback addresses are dropped unless translated", () => {
  const answer = ask(dump(nodePort), { dest: "127.0.0.1", port: 10255 });
  assert.equal(answer.verdict, "DROP");
  assert.equal(answer.steps.at(-1)!.chain, "KUBE-FIREWALL");
  assert.equal(ask(dump(nodePort), { dest: "127.0.0.1", port: 30007 }).verdict, "FORWARD");
});

Deno.test("without the node's addresses, rules about local addresses are not known", () => {
  const answer = ask(dump(nodePort), { dest: NODE, port: 30007 }, { nodeAddresses: [] });
  assert.equal(answer.verdict, "PASS");
  assert.equal(answer.unknown.length, 1);
  assert.equal(answer.unknown[0].chain, "KUBE-SERVICES");
  assert.match(answer.unknown[0].reason, /node's own addresses are not given/);
});

/** LoadBalancer 198.51.100.7:80 that serves 203.0.113.0/24 and, as a node, the VIP itself. */
const firewalled: Parts = {
  services: [
    '-A KUBE-SERVICES -d 198.51.100.7/32 -p tcp -m comment --comment "default/web:http loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-W',
  ],
  filter: [
    '-A KUBE-PROXY-FIREWALL -d 198.51.100.7/32 -p tcp -m comment --comment "default/web:http traffic not accepted by KUBE-FW-W" -m tcp --dport 80 -j DROP',
  ],
  nat: [
    '-A KUBE-FW-W -s 203.0.113.0/24 -m comment --comment "default/web:http loadbalancer IP" -j KUBE-EXT-W',
    '-A KUBE-FW-W -m comment --comment "other traffic to default/web:http will be dropped by KUBE-PROXY-FIREWALL"',
    '-A KUBE-EXT-W -m comment --comment "masquerade traffic for default/web:http external destinations" -j KUBE-MARK-MASQ',
    "-A KUBE-EXT-W -j KUBE-SVC-W",
    ...balance("SVC", "W", "default/web:http", ENDPOINTS),
    ...endpoints("W", "default/web:http", ENDPOINTS),
  ],
};

Deno.test("a load balancer's source ranges: accepted, or dropped where the packet goes on", () => {
  const accepted = ask(dump(firewalled), { dest: "198.51.100.7" });
  assert.equal(accepted.verdict, "FORWARD");
  assertThirds(accepted);
  for (const source of ["192.0.2.1", POD, NODE]) {
    const answer = ask(dump(firewalled), { source, dest: "198.51.100.7" });
    assert.equal(answer.verdict, "DROP", source);
    assert.equal(answer.service, "default/web:http");
    assert(rules(answer).includes("nat KUBE-FW-W 2"), "the rule without a target is a step");
    assert.equal(answer.steps.at(-1)!.chain, "KUBE-PROXY-FIREWALL");
  }
});

const external = "default/local external destinations";

/** externalTrafficPolicy Local: node port 30008, one endpoint of three on this node. */
function local(onNode: boolean): Parts {
  return {
    filter: onNode ? [] : [
      '-A KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "default/local has no local endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30008 -j DROP',
    ],
    nat: [
      "-A KUBE-NODEPORTS -p tcp -m comment --comment default/local -m tcp --dport 30008 -j KUBE-EXT-L",
      `-A KUBE-EXT-L -s 10.244.0.0/16 -m comment --comment "pod traffic for ${external}" -j KUBE-SVC-L`,
      `-A KUBE-EXT-L -m comment --comment "masquerade LOCAL traffic for ${external}" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
      `-A KUBE-EXT-L -m comment --comment "route LOCAL traffic for ${external}" -m addrtype --src-type LOCAL -j KUBE-SVC-L`,
      ...(onNode ? ["-A KUBE-EXT-L -j KUBE-SVL-L"] : []),
      ...balance("SVC", "L", "default/local", ENDPOINTS),
      ...(onNode ? balance("SVL", "L", "default/local", ENDPOINTS.slice(0, 1)) : []),
      ...endpoints("L", "default/local", ENDPOINTS),
    ],
  };
}

Deno.test("external policy Local: outside sees local endpoints, pods and the node see all", () => {
  const outside = ask(dump(local(true)), { dest: NODE, port: 30008 });
  assert.deepEqual(addresses(outside), [PODS[0]]);
  assert.equal(outside.backends[0].probability, 1);
  assert.equal(outside.masquerade, false);
  const pod = ask(dump(local(true)), { source: POD, dest: NODE, port: 30008 });
  assertThirds(pod);
  assert.equal(pod.masquerade, false);
  const node = ask(dump(local(true)), { source: NODE, dest: NODE, port: 30008 });
  assertThirds(node);
  assert.equal(node.masquerade, true);
});

Deno.test("external policy Local without local endpoints drops what comes from outside", () => {
  const outside = ask(dump(local(false)), { dest: NODE, port: 30008 });
  assert.equal(outside.verdict, "DROP");
  assert.equal(outside.service, "default/local");
  assertThirds(ask(dump(local(false)), { source: POD, dest: NODE, port: 30008 }));
});

const sticky: Parts = {
  services: [
    '-A KUBE-SERVICES -d 10.0.9.9/32 -p tcp -m comment --comment "default/whoami cluster IP" -m tcp --dport 80 -j KUBE-SVC-A',
  ],
  nat: [
    ...balance("SVC", "A", "default/whoami", ENDPOINTS, { affinity: 10800 }),
    ...endpoints("A", "default/whoami", ENDPOINTS, { affinity: 10800 }),
  ],
};

Deno.test("session affinity: a new client gets any endpoint, and the lists are steps", () => {
  const answer = ask(dump(sticky), { source: POD, dest: "10.0.9.9" });
  assertThirds(answer);
  const notes = answer.steps.filter(({ action }) => action.startsWith("no match"));
  assert.equal(notes.length, 3);
  assert.equal(notes[0].action, `no match: list KUBE-SEP-A1 does not hold ${POD}: a new client`);
  assert(answer.steps.some(({ action }) => action.includes(`list KUBE-SEP-A2 now holds ${POD}`)));
});

Deno.test("session affinity: a known client gets its endpoint until the time is over", () => {
  const recent = (secondsAgo: number) => ({
    recent: new Map([["KUBE-SEP-A2", [{ address: POD, secondsAgo }]]]),
  });
  const known = ask(dump(sticky), { source: POD, dest: "10.0.9.9" }, recent(10));
  assert.deepEqual(addresses(known), [PODS[1]]);
  assert.equal(known.backends[0].probability, 1);
  assertThirds(ask(dump(sticky), { source: POD, dest: "10.0.9.9" }, recent(10801)));
  assertThirds(ask(dump(sticky), { source: CLIENT, dest: "10.0.9.9" }, recent(10)));
});

Deno.test("a health check node port is accepted, which is no Service's traffic", () => {
  const text = dump({
    filter: [
      '-A KUBE-NODEPORTS -p tcp -m comment --comment "default/local health check node port" -m tcp --dport 31999 -j ACCEPT',
    ],
  });
  const answer = ask(text, { dest: NODE, port: 31999 });
  assert.equal(answer.verdict, "PASS");
  assert.equal(answer.service, null);
  assert(rules(answer).includes("filter KUBE-NODEPORTS 1"));
});

Deno.test("a thousand endpoints still add up to exactly 1", () => {
  const many = Array.from({ length: 1000 }, (_, i) => `10.244.${i >> 8}.${i & 255}:80`);
  const text = dump({
    services: [
      '-A KUBE-SERVICES -d 10.0.8.8/32 -p tcp -m comment --comment "default/many cluster IP" -m tcp --dport 80 -j KUBE-SVC-M',
    ],
    nat: [
      ...balance("SVC", "M", "default/many", many),
      ...endpoints("M", "default/many", many),
    ],
  });
  const answer = ask(text, { source: POD, dest: "10.0.8.8" });
  assert.equal(answer.backends.length, 1000);
  for (const { probability } of answer.backends) assert(Math.abs(probability - 1e-3) < 1e-9);
  const total = answer.backends.reduce((sum, { probability }) => sum + probability, 0);
  assert(Math.abs(total - 1) < 1e-12);
});

Deno.test("a forwarding policy that drops shows in the answer, masqueraded traffic is exempt", () => {
  const text = dump({ ...hostnames, forwardPolicy: "DROP" });
  const pod = ask(text, { source: POD, dest: "10.0.1.175" });
  assert.equal(pod.verdict, "DROP");
  assert.equal(pod.service, HOSTNAMES);
  assert.deepEqual(pod.backends, []);
  assert.equal(pod.steps.at(-1)!.text, "-P FORWARD DROP");
  assert.equal(pod.steps.at(-1)!.rule, null);
  assert.equal(ask(text, { source: CLIENT, dest: "10.0.1.175" }).verdict, "FORWARD");
});

Deno.test("a policy that drops the way to one endpoint leaves the others", () => {
  const text = dump({
    ...hostnames,
    filter: ["-A FORWARD -d 10.244.2.3/32 -p tcp -m tcp --dport 9376 -j DROP"],
  });
  const answer = ask(text, { source: POD, dest: "10.0.1.175" });
  assert.equal(answer.verdict, "FORWARD");
  assert.deepEqual(addresses(answer), [PODS[0], PODS[2]]);
  const dropped = answer.outcomes.filter(({ verdict }) => verdict === "DROP");
  assert.equal(dropped.length, 1);
  assert(Math.abs(dropped[0].probability - 1 / 3) < 1e-9);
});

Deno.test("packets of a known connection are not translated anew", () => {
  const text = dump({ ...hostnames, forwardPolicy: "DROP" });
  const answer = ask(text, { source: POD, dest: "10.0.1.175", state: "ESTABLISHED" });
  assert.equal(answer.verdict, "PASS");
  assert(rules(answer).includes("filter KUBE-FORWARD 3"));
  const invalid = ask(text, { source: POD, dest: "10.0.1.175", state: "INVALID" });
  assert.equal(invalid.verdict, "DROP");
});

Deno.test("older versions' comments and drop marks are understood", () => {
  const text = dump({
    services: [
      '-A KUBE-SERVICES -d 10.0.1.180/32 -p tcp -m comment --comment "default/old: cluster IP" -m tcp --dport 80 -j KUBE-SVC-O',
      "-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000",
      '-A KUBE-SERVICES -d 198.51.100.9/32 -p tcp -m comment --comment "default/old: loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-O',
      "-A KUBE-FW-O -j KUBE-MARK-DROP",
    ],
    filter: ["-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP"],
    nat: [
      ...balance("SVC", "O", "default/old:", ["10.244.1.7:80"]),
      ...endpoints("O", "default/old:", ["10.244.1.7:80"]),
    ],
  });
  assert.equal(ask(text, { source: POD, dest: "10.0.1.180" }).service, "default/old");
  const dropped = ask(text, { source: NODE, dest: "198.51.100.9" });
  assert.equal(dropped.verdict, "DROP");
  assert.equal(dropped.service, "default/old");
});

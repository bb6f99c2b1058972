import assert from "node:assert/strict";
import { parseIpSets } from "../../../src/explain/netfilter/ipset.ts";
import { parseNetwork } from "../../../src/net/address.ts";
import { ask, balance, CLIENT, dump, endpoints, NODE, type Parts, POD } from "./kube_proxy_dump.ts";

const service: Parts = {
  services: [
    '-A KUBE-SERVICES -d 10.0.1.5/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-W',
  ],
  nat: [
    '-A KUBE-SVC-W ! -s 10.244.0.0/16 -d 10.0.1.5/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ',
    ...balance("SVC", "W", "default/web", ["10.244.1.7:8080", "10.244.2.3:8080"]),
    ...endpoints("W", "default/web", ["10.244.1.7:8080", "10.244.2.3:8080"]),
  ],
};

Deno.test("an overlay's masquerading leaves Services as they are, and shows on the way out", () => {
  const text = dump({
    ...service,
    nat: [
      ...service.nat!,
      '-A POSTROUTING -m comment --comment "overlay masquerade" -j FLANNEL-POSTRTG',
      "-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN",
      "-A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -j RETURN",
      "-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.1.0/24 -j RETURN",
      "-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.0.0/16 -j RETURN",
      "-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully",
    ],
    filter: ["-A FORWARD -j FLANNEL-FWD", "-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT"],
    forwardPolicy: "DROP",
  });
  const inside = ask(text, { source: POD, dest: "10.0.1.5" });
  assert.equal(inside.verdict, "FORWARD");
  assert.equal(inside.masquerade, false);
  assert.equal(inside.backends.length, 2);
  const world = ask(text, { source: POD, dest: "192.0.2.80" });
  assert.equal(world.verdict, "PASS");
  assert.equal(world.masquerade, true);
  assert.equal(ask(text, { source: CLIENT, dest: "192.0.2.80" }).verdict, "DROP");
});

/** A policy engine's chains: marks 0x10000 accepted, 0x20000 checked; one chain a workload. */
const policies: Parts = {
  ...service,
  raw: [
    "-A PREROUTING -j cali-PREROUTING",
    "-A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000",
    "-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000",
    "-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT",
  ],
  filter: [
    "-A FORWARD -j cali-FORWARD",
    "-A cali-FORWARD -i cali+ -g cali-from-workload",
    "-A cali-FORWARD -o cali+ -j cali-to-workload",
    "-A cali-to-workload -o cali1234 -g cali-tw-1234",
    "-A cali-to-workload -m comment --comment unknown -j DROP",
    "-A cali-tw-1234 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A cali-tw-1234 -m conntrack --ctstate INVALID -j DROP",
    "-A cali-tw-1234 -j MARK --set-xmark 0x0/0x10000",
    "-A cali-tw-1234 -p tcp -m set --match-set cali40s:web src -m multiport --dports 8080,8443 -j MARK --set-xmark 0x10000/0x10000",
    "-A cali-tw-1234 -m mark --mark 0x10000/0x10000 -j ACCEPT",
    "-A cali-tw-1234 -j DROP",
    "-A cali-from-workload -j DROP",
  ],
};

const ROUTES = [
  { network: parseNetwork("0.0.0.0/0")!, interface: "eth0" },
  { network: parseNetwork("10.244.1.7/32")!, interface: "cali1234" },
  { network: parseNetwork("10.244.2.0/24")!, interface: "vxlan.calico" },
];

Deno.test("a policy that admits one set of sources to one endpoint", () => {
  const text = dump(policies);
  const ipsets = parseIpSets("create cali40s:web hash:net family inet\nadd cali40s:web 10.244.9.9");
  const node = { ipsets, routes: ROUTES };
  const admitted = ask(text, { source: POD, dest: "10.0.1.5" }, node);
  assert.equal(admitted.verdict, "FORWARD");
  assert.deepEqual(admitted.backends.map(({ probability }) => probability), [0.5, 0.5]);
  const refused = ask(text, { source: "10.244.8.8", dest: "10.0.1.5" }, node);
  assert.equal(refused.verdict, "FORWARD");
  assert.deepEqual(refused.backends.map(({ address }) => address), ["10.244.2.3"]);
  assert.deepEqual(
    refused.outcomes.map(({ verdict, probability }) => [verdict, probability]),
    [["FORWARD", 0.5], ["DROP", 0.5]],
  );
  assert.deepEqual(refused.unknown, []);
});

Deno.test("without the sets and the routes, what rests on them is named", () => {
  const sets = ask(dump(policies), { source: POD, dest: "10.0.1.5" }, { routes: ROUTES });
  assert.deepEqual(sets.unknown.map(({ chain, reason }) => [chain, reason]), [
    ["cali-tw-1234", "what set cali40s:web holds is not given"],
  ]);
  const routes = ask(dump(policies), { source: POD, dest: "10.0.1.5" });
  assert(routes.unknown.every(({ reason }) => /interface is not known$/.test(reason)));
  assert.equal(routes.unknown.length, 3);
});

Deno.test("a host port before the Services' rules wins", () => {
  const text = dump({
    ...service,
    beforeServices: [
      "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name" -m multiport --dports 8081 -j CNI-DN-0123',
      "-A CNI-DN-0123 -s 10.244.1.0/24 -p tcp -m tcp --dport 8081 -j CNI-HOSTPORT-SETMARK",
      "-A CNI-DN-0123 -s 127.0.0.1/32 -p tcp -m tcp --dport 8081 -j CNI-HOSTPORT-SETMARK",
      "-A CNI-DN-0123 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.244.1.9:80",
      "-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000",
      "-A POSTROUTING -m mark --mark 0x2000/0x2000 -j MASQUERADE",
    ],
  });
  const answer = ask(text, { dest: NODE, port: 8081 });
  assert.equal(answer.verdict, "FORWARD");
  assert.equal(answer.service, null);
  assert.deepEqual(answer.backends, [
    { address: "10.244.1.9", port: 80, probability: 1, masquerade: false },
  ]);
  assert.equal(ask(text, { source: "127.0.0.1", dest: "127.0.0.1", port: 8081 }).masquerade, true);
});

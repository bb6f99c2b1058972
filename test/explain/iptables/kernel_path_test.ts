import assert from "node:assert/strict";
import { explain, parseNodeTables } from "../../../src/explain/iptables/explain.ts";
import { parseNetwork } from "../../../src/net/address.ts";
import { requires } from "../../requirements.ts";
import { KernelNode, NODE_ADDRESSES } from "./kernel_node.ts";
import { dump } from "./kube_proxy_dump.ts";

const [LEFT, RIGHT] = NODE_ADDRESSES;
const LISTENING = 9376;

const udp = (to: string) =>
  `-p udp -m comment --comment "default/dns cluster IP" -m udp --dport 53 -j ${to}`;

/** Services of one endpoint each, so that nothing is left to chance, and a CNI's rules around. */
const RULES = dump({
  raw: ["-A PREROUTING -i left -p udp -m udp --dport 5300 -j CT --notrack"],
  mangle: [
    "-A PREROUTING -i left -m mark --mark 0x0 -j MARK --set-xmark 0x10000/0x30000",
    "-A PREROUTING -i lo -j MARK --set-xmark 0x20000/0x30000",
    "-A FORWARD -o right -m mark --mark 0x10000/0x30000 -j MARK --set-xmark 0x0/0x30000",
    "-A POSTROUTING -o right",
    "-A POSTROUTING -o lo",
  ],
  beforeServices: ["-A OUTPUT -o right -j CNI-OUT", "-A CNI-OUT -m addrtype --dst-type LOCAL"],
  services: [
    `-A KUBE-SERVICES -d 10.96.0.10/32 ${udp("KUBE-SVC-REMOTE")}`,
    `-A KUBE-SERVICES -d 10.96.0.11/32 ${udp("KUBE-SVC-NODE")}`,
  ],
  nat: [
    "-A KUBE-SVC-REMOTE ! -s 10.1.0.0/16 -j KUBE-MARK-MASQ",
    "-A KUBE-SVC-REMOTE -j KUBE-SEP-REMOTE",
    "-A KUBE-SEP-REMOTE -s 10.2.0.3/32 -j KUBE-MARK-MASQ",
    "-A KUBE-SEP-REMOTE -p udp -m recent --set --name KUBE-SEP-REMOTE --mask 255.255.255.255 --rsource -m udp -j DNAT --to-destination 10.2.0.3:5353",
    "-A KUBE-SVC-NODE -j KUBE-SEP-NODE",
    `-A KUBE-SEP-NODE -s ${LEFT}/32 -j KUBE-MARK-MASQ`,
    `-A KUBE-SEP-NODE -p udp -m udp -j DNAT --to-destination ${LEFT}:${LISTENING}`,
    "-A KUBE-NODEPORTS -p udp -m udp --dport 30053 -j KUBE-EXT-REMOTE",
    "-A KUBE-EXT-REMOTE -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ",
    "-A KUBE-EXT-REMOTE -g KUBE-SVC-REMOTE",
    "-A KUBE-EXT-REMOTE -j KUBE-MARK-MASQ",
  ],
  filter: [
    "-A OUTPUT -o right",
    "-A OUTPUT -o lo",
    "-A OUTPUT -m conntrack --ctstate DNAT",
    "-A INPUT -i lo -m conntrack --ctstate NEW -j ACCEPT",
    "-A INPUT -m conntrack --ctstate DNAT -m conntrack --ctorigdstport 53",
    "-A FORWARD -i left -o right -m conntrack ! --ctstate DNAT",
    "-A FORWARD -i left -o right -m conntrack --ctstate DNAT --ctorigdst 10.96.0.0/16",
    "-A FORWARD -m conntrack --ctstate UNTRACKED",
  ],
});

/** Source, destination, port; sources of the node are those that the kernel chooses. */
const FLOWS: readonly [name: string, source: string, dest: string, port: number][] = [
  ["a cluster IP from outside", "10.1.0.5", "10.96.0.10", 53],
  ["a cluster IP from another network", "172.16.0.5", "10.96.0.10", 53],
  ["a cluster IP from the node", RIGHT, "10.96.0.10", 53],
  ["a cluster IP that leads to the node, from outside", "10.1.0.5", "10.96.0.11", 53],
  ["a cluster IP that leads to the node, from the node", RIGHT, "10.96.0.11", 53],
  ["a node port from outside", "10.1.0.5", LEFT, 30053],
  ["a node port at the other address", "10.1.0.5", RIGHT, 30053],
  ["a node port from the node", LEFT, LEFT, 30053],
  ["a node port on loopback", "127.0.0.1", "127.0.0.1", 30053],
  ["no Service, from outside", "10.1.0.5", "10.2.0.9", 53],
  ["no Service, to the node", "10.1.0.5", LEFT, LISTENING],
  ["no Service, from the node", RIGHT, "10.2.0.9", 53],
  ["no Service, from the node to itself", LEFT, LEFT, LISTENING],
  ["no Service, on loopback", "127.0.0.1", "127.0.0.1", LISTENING],
  ["loopback from outside", "10.1.0.5", "127.0.0.1", 10255],
  ["not tracked", "10.1.0.5", "10.2.0.9", 5300],
];

for (const backend of ["iptables", "iptables-legacy"]) {
  Deno.test({
    ...requires(
      `the rules in the steps are those that the kernel counts, by ${backend}`,
      "root",
      "netns",
      "tun",
      "bash",
      `${backend}-restore`,
    ),
    async fn(context) {
      using node = new KernelNode(backend);
      using _listener = node.listen(LISTENING);
      let sourcePort = 2000;
      for (const [name, source, dest, port] of FLOWS) {
        await context.step(name, () => {
          const saved = node.load(RULES);
          const flow = { source, sourcePort: ++sourcePort, dest, port, protocol: "UDP" as const };
          const answer = explain({ name, ...flow }, {
            tables: parseNodeTables(saved),
            nodeAddresses: NODE_ADDRESSES,
            routes: [
              { network: parseNetwork("10.1.0.0/16")!, interface: "left" },
              { network: parseNetwork("172.16.0.0/16")!, interface: "left" },
              { network: parseNetwork("0.0.0.0/0")!, interface: "right" },
            ],
          });
          const own = (NODE_ADDRESSES as readonly string[]).includes(source);
          if (own || source === "127.0.0.1") node.sendFromNode(dest, port);
          else node.send(flow);
          assert.deepEqual(answer.unknown, []);
          assert.equal(answer.outcomes.length, 1);
          const acted = answer.steps.filter(({ rule }) => rule !== null)
            .map(({ table, chain, rule }) => `${table} ${chain} ${rule}`);
          assert.deepEqual([...new Set(acted)].sort(), node.counted().sort());
        });
      }
    },
  });
}

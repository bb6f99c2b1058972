/**
 * Whether the evaluator's way of a packet is the kernel's: of one datagram, the kernel must have
 * counted exactly the rules that the answer names, as often. integration/vm/ipvs_test.ts runs this
 * in the virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseSave } from "../../../src/dataplane/iptables/save_text.ts";
import type { Answer } from "../../../src/explain/answer.ts";
import { parseNodeTables } from "../../../src/explain/iptables/explain.ts";
import { parseIpSets } from "../../../src/explain/netfilter/ipset.ts";
import { savedExplainer } from "../../../src/explain/ipvs/explain.ts";
import { parseIpvsSave } from "../../../src/explain/ipvs/save_text.ts";
import { close, poll, pollSet } from "../../../src/linux/libc.ts";
import { everything, type TestNode } from "../../dataplane/ipvs/node.ts";
import { plannerOf, service, slice } from "../../dataplane/ipvs/plans.ts";
import { countedRules } from "../../integration/vm/legacy_counters.ts";
import { CLIENTS, IpvsNetwork, NODE_ADDRESS, PODS } from "../../integration/vm/ipvs_network.ts";
import { received, send, udpSocket } from "../../integration/vm/sockets.ts";

/** Rules that only count, in every chain of the kernel that there is. */
const COUNTING = [
  ...["raw PREROUTING", "raw OUTPUT"],
  ...["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"].map((one) => `mangle ${one}`),
  ...["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((one) => `nat ${one}`),
  ...["INPUT", "FORWARD", "OUTPUT"].map((one) => `filter ${one}`),
].map((one) => one.split(" "));

const DNS = [{ name: "", port: 53, protocol: "UDP" }];
const VIPS = { pod: "10.96.0.1", node: "10.96.0.2", external: "203.0.113.9" };

/** How often rules have matched, by "nat KUBE-SERVICES 2". */
type Counts = Record<string, number>;

/** The rules that cannot be decided, as they are about bridges; the next one does the same. */
function undecided(saved: string): Set<string> {
  return new Set(
    parseSave(saved).flatMap(({ name, rules }) => {
      const numbers = new Map<string, number>();
      return rules.flatMap(({ chain, tokens }) => {
        const number = (numbers.get(chain) ?? 0) + 1;
        numbers.set(chain, number);
        return tokens.includes("physdev") ? [`${name} ${chain} ${number}`] : [];
      });
    }),
  );
}

function counted({ namespace }: TestNode, bridges: ReadonlySet<string>): Counts {
  const counts: Counts = {};
  for (const table of ["raw", "mangle", "nat", "filter"]) {
    for (const { chain, number, packets } of namespace.run(() => countedRules("IPv4", table))) {
      const skipped = bridges.has(`${table} ${chain} ${number}`) ? 1 : 0;
      const key = `${table} ${chain} ${number + skipped}`;
      counts[key] = (counts[key] ?? 0) + Number(packets);
    }
  }
  return counts;
}

/** What was counted in between. */
function since(before: Counts, after: Counts): Counts {
  return Object.fromEntries(
    Object.entries(after).map(([rule, count]) => [rule, count - (before[rule] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}

function told({ outcomes: [{ steps: way }], steps }: Answer): Counts {
  const counts: Counts = {};
  for (const index of way) {
    const { table, chain, rule, action } = steps[index];
    if (table === null || table === "ipvs" || rule === null) continue;
    if (/^(no match|taken as)/.test(action)) continue;
    const name = `${table} ${chain} ${rule}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

Deno.test("a packet's way through IPVS is as the kernel counts it, rule by rule", async () => {
  using network = new IpvsNetwork();
  const { node } = network;
  const planner = plannerOf([
    service("pod", VIPS.pod, DNS, { externalIPs: [VIPS.external] }),
    slice("pod", DNS, [PODS[0]]),
    service("node", VIPS.node, DNS),
    slice("node", DNS, [NODE_ADDRESS]),
  ], { families: ["IPv4"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const rules = COUNTING.map(([table, chain]) => `iptables-legacy -t ${table} -A ${chain} -p udp`);
  await node.output("sh", "-c", rules.join(" && "));
  const saved = await node.output("iptables-legacy-save");
  const bridges = undecided(saved);
  const explain = savedExplainer({
    tables: parseNodeTables(saved),
    servers: parseIpvsSave(await node.output("ipvsadm-save", "-n")),
    ipsets: parseIpSets(await node.output("ipset", "save")),
    nodeAddresses: [NODE_ADDRESS],
  });
  const servers = [PODS[0], NODE_ADDRESS].map((address) =>
    network.at(address, () => udpSocket({ address, port: 53 }))
  );
  let port = 30_000;
  let before = counted(node, bridges);
  for (const source of [CLIENTS[0], PODS[0], PODS[1], NODE_ADDRESS, ...Object.values(VIPS)]) {
    for (const dest of Object.values(VIPS)) {
      const local = { address: source, port: port++ };
      const socket = network.at(source, () => udpSocket(local));
      assert.ok(send(socket, { address: dest, port: 53 }, Uint8Array.of(1)));
      assert.equal(poll(pollSet(servers), 60_000), 1, `${source} to ${dest} arrives`);
      for (const fd of servers) for (const _ of received(fd));
      const name = `${source} to ${dest}`;
      const flow = {
        name,
        source,
        sourcePort: local.port,
        dest,
        port: 53,
        protocol: "UDP",
      } as const;
      const answer = explain(flow);
      assert.equal(answer.verdict, "FORWARD", name);
      const after = counted(node, bridges);
      assert.deepEqual(told(answer), since(before, after), name);
      before = after;
      close(socket);
    }
  }
  servers.forEach(close);
  await mode.plane.stop();
});

/** The rules of ipvs mode in both implementations of iptables; all else is tested in the machine. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { NodeRulesAccess } from "../../../src/dataplane/iptables/apply.ts";
import { countLines } from "../../../src/dataplane/iptables/diff.ts";
import { findPrograms, ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import { transactionText } from "../../../src/dataplane/iptables/transaction_text.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import { diffNodeRules, diffRulesCleanup, readTables } from "../../../src/dataplane/ipvs/rules.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { FAMILIES, type Family } from "../../../src/net/address.ts";
import { Ipset } from "../../../src/netlink/netfilter/ipset.ts";
import { requires } from "../../requirements.ts";
import { plannerOf, service, slice } from "./plans.ts";

const PORTS = [
  { name: "http", port: 80, protocol: "TCP" },
  { name: "dns", port: 53, protocol: "UDP" },
  { name: "sctp", port: 9, protocol: "SCTP" },
];

const LOCAL = { externalTrafficPolicy: "Local" };
const INSIDE = { internalTrafficPolicy: "Local" };

/** Services that fill every set. */
function objects(family: Family): ClusterObject[] {
  const at = (four: string, six: string) => family === "IPv4" ? four : six;
  const here = at("10.244.0.1", "fd00:244::1");
  const there = at("10.244.0.2", "fd00:244::2");
  const made: readonly [ports: number, endpoints: string[], spec: Record<string, unknown>][] = [
    [3, [here, there], { ...LOCAL, healthCheckNodePort: 32000 }],
    [3, [here, there], { ...LOCAL, ...INSIDE }],
    [1, [there], LOCAL],
    [1, [there], INSIDE],
    [1, [here], {}],
    [1, [], {}],
  ];
  return made.flatMap(([count, endpoints, spec], i) => {
    const ports = PORTS.slice(0, count)
      .map((port) => ({ ...port, nodePort: 30000 + 1000 * i + port.port }));
    const ip = at(`203.0.113.${i}`, `2001:db8::${i + 1}`);
    return [
      service(`s${i}`, at(`10.96.0.${i + 1}`, `fd00:96::${i + 1}`), ports, {
        type: "LoadBalancer",
        ipFamilies: [family],
        externalIPs: [at(`198.51.100.${i}`, `2001:db8:1::${i + 1}`)],
        // The node's are among them: matches about IPVS only the machine's kernel has.
        loadBalancerSourceRanges: [at("0.0.0.0/0", "::/0"), at(`${ip}/32`, `${ip}/128`)],
        status: { loadBalancer: { ingress: [{ ip }] } },
        ...spec,
      }),
      slice(`s${i}`, PORTS, endpoints),
    ];
  });
}

for (const backend of ["legacy", "nft"] as const) {
  Deno.test({
    ...requires(
      `rules of ipvs mode are read back as they were made, and removed, with ${backend}`,
      ...["root", "netns", "ip_set", `iptables-${backend}`, `ip6tables-${backend}`],
    ),
    async fn() {
      using namespace = NetworkNamespace.create();
      using ipset = namespace.run(() => Ipset.open());
      const runner = new ProgramRunner(namespace);
      const access = new NodeRulesAccess(runner, await findPrograms(runner, backend));
      for (const family of FAMILIES) {
        const { plan } = plannerOf(objects(family), { families: [family] });
        const { state: { sets, rules } } = render(plan, family, DEFAULT_IPVS_OPTIONS);
        for (const { name, type, entries } of sets.values()) {
          assert.ok(entries.length > 0, name);
          ipset.create({ name, type, family });
        }
        const missing = async () =>
          diffNodeRules(readTables(await access.read(family), family), rules, family);
        const lines = (diffs: Awaited<ReturnType<typeof missing>>) =>
          diffs.reduce((sum, diff) => sum + countLines(diff), 0);
        const diffs = await missing();
        assert.ok(lines(diffs) > 80);
        await access.restore(family, transactionText(diffs, access.chainLimit)!);
        assert.equal(lines(await missing()), 0, family);
        const node = readTables(await access.read(family), family);
        const removal = transactionText(diffRulesCleanup(node, family), access.chainLimit)!;
        await access.restore(family, removal);
        assert.doesNotMatch(await access.read(family), /KUBE/, family);
      }
    },
  });
}

import assert from "node:assert/strict";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { explain, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { requires } from "../../requirements.ts";
import { until } from "../../until.ts";
import { KernelNode, NODE_ADDRESSES } from "../iptables/kernel_node.ts";

const PORT = 4321;

/** Base chains by hook: family, type and priority. A digit of the mark says that one was called. */
const CHAINS: Readonly<Record<string, readonly (readonly [string, string, number])[]>> = {
  prerouting: [["ip", "filter", -90], ["inet", "nat", 50], ["ip", "filter", -150]],
  input: [["ip", "filter", 0], ["inet", "filter", 0]],
  forward: [["inet", "filter", 0], ["ip", "filter", 0], ["inet", "filter", -1]],
  output: [["ip", "filter", 0], ["inet", "filter", 0], ["ip", "nat", -199], ["ip", "route", -150]],
  postrouting: [["ip", "nat", -199], ["inet", "filter", 50]],
};

/** The hooks where packets end up. NAT is there as soon as a rule asks for connections. */
const LAST = ["input", "postrouting"];

const SEEN = "set seen {\ntype mark\nflags dynamic\n}\n";

function rules(): string {
  let text = "";
  for (const [hook, chains] of Object.entries(CHAINS)) {
    for (const [i, [family, type, priority]] of chains.entries()) {
      text += `table ${family} t-${hook}-${i} {\nchain c {
        type ${type} hook ${hook} priority ${priority};
        meta mark set meta mark << 3
        meta mark set meta mark | 0x${(i + 1).toString(16)}\n}\n}\n`;
    }
  }
  const ends = LAST.map((hook) =>
    `chain ${hook}-end {\ntype filter hook ${hook} priority 300;
    udp dport ${PORT} ct state new update @seen { meta mark }\n}\n`
  );
  return `${text}table ip ends {\n${SEEN}${ends.join("")}}\n`;
}

/** The marks of packets that got to the end. */
function seenBy(node: KernelNode): (number | null)[] {
  const text = node.run(["nft", "list", "set", "ip", "ends", "seen"]);
  const [{ elements }] = parseRuleset(text).tables[0].sets;
  return elements.map(({ key }) => key.kind === "number" ? key.value : null).sort();
}

Deno.test({
  ...requires("base chains are called in the kernel's order", "root", "netns", "tun", "nft"),
  async fn() {
    using node = new KernelNode("iptables");
    node.run(["nft", "-f", "-"], rules());
    const listed = parseRuleset(node.run(["nft", "list", "ruleset"]));
    const [own, other] = NODE_ADDRESSES;
    const cases = [
      { source: "10.1.0.2", dest: "10.2.0.9" },
      { source: "10.1.0.2", dest: own },
      { source: other, dest: "10.2.0.9" },
      { source: own, dest: own },
    ];
    for (const { source, dest } of cases) {
      node.run(["nft", "flush", "set", "ip", "ends", "seen"]);
      if (source === "10.1.0.2") {
        node.send({ source, sourcePort: 2000, dest, port: PORT, protocol: "UDP" });
      } else {
        node.sendFromNode(dest, PORT);
      }
      const flow = { name: "", source, dest, port: PORT, protocol: "UDP" } as const;
      const { steps } = explain(flow, {
        tables: tablesOf(listed),
        nodeAddresses: NODE_ADDRESSES,
      });
      const told = steps.flatMap(({ action }) => {
        const [, mark] = /^set seen now holds (\d+)$/.exec(action) ?? [];
        return mark === undefined ? [] : [Number(mark)];
      });
      assert(told.length > 0);
      // What goes through lo may come in later.
      await until(() => seenBy(node).length >= told.length, "the packet is seen");
      assert.deepEqual(seenBy(node), told.sort(), `${source} to ${dest}`);
    }
  },
});

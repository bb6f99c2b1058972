import fc from "fast-check";
import { explain, parseNodeTables } from "../../../src/explain/iptables/explain.ts";
import { requires } from "../../requirements.ts";
import { PacketSender, packetsTo, pick, ROUTES, words } from "../kernel_packets.ts";
import { KernelNode, NODE_ADDRESSES } from "./kernel_node.ts";

const not = pick("", "", "!");

const address = pick(
  "10.1.0.2",
  "10.1.0.0/24",
  "10.1.0.0/16",
  "10.2.0.2",
  "10.2.0.0/30",
  "10.1.0.1",
  "10.0.0.2/255.0.0.255",
);

const port = pick("80", "81", "1:80", "81:", ":79", "80:81");

const protocolMatch = fc.oneof(
  { weight: 2, arbitrary: fc.constant("") },
  words(pick("-p udp -m udp", "-p tcp -m tcp"), not, words(pick("--dport", "--sport"), port)),
  words(
    pick("-p udp -m multiport", "-p tcp -m multiport"),
    not,
    pick("--dports 80,90:100", "--ports 81", "--sports 1024:65535"),
  ),
  words(not, pick("-p udp", "-p tcp")),
  pick("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "-p tcp -m tcp --tcp-flags SYN,ACK ACK"),
);

const mark = pick("0x1", "0x1/0x1", "0x2/0x3", "0x4000/0x4000", "0x0", "0x0/0x1");

const match = fc.oneof(
  words(not, fc.constant("-s"), address),
  words(not, fc.constant("-d"), address),
  words(fc.constant("-m mark"), not, fc.constant("--mark"), mark),
  words(fc.constant("-m connmark"), not, fc.constant("--mark"), mark),
  words(
    fc.constant("-m addrtype"),
    not,
    pick("--dst-type", "--src-type"),
    pick("LOCAL", "UNICAST", "MULTICAST,LOCAL"),
  ),
  words(
    fc.constant("-m conntrack"),
    not,
    fc.constant("--ctstate"),
    pick("NEW", "ESTABLISHED,RELATED", "DNAT", "INVALID", "UNTRACKED", "SNAT,DNAT"),
  ),
  words(
    fc.constant("-m conntrack"),
    not,
    pick(
      "--ctorigdst 10.2.0.2",
      "--ctorigdstport 80",
      "--ctproto 17",
      "--ctreplsrc 10.2.0.3",
      "--ctorigsrc 10.1.0.0/24",
    ),
  ),
  words(
    pick(
      "-m conntrack --ctdir ORIGINAL",
      "-m conntrack --ctdir REPLY",
      "-m conntrack --ctstatus NONE",
      "-m conntrack --ctstatus SEEN_REPLY",
    ),
  ),
  words(
    fc.constant("-m statistic --mode random"),
    not,
    pick("--probability 0.5", "--probability 0", "--probability 1", "--probability 0.25"),
  ),
  pick(
    "-m statistic --mode nth --every 1 --packet 0",
    "-m statistic --mode nth --every 2 --packet 0",
  ),
  words(
    fc.constant("-m iprange"),
    not,
    pick("--src-range 10.1.0.2-10.1.0.3", "--dst-range 10.2.0.0-10.2.0.2"),
  ),
  pick(
    '-m comment --comment "a \\"quoted\\" -j DROP"',
    "-m limit --limit 1000/sec --limit-burst 1000",
  ),
  pick(
    "-m state --state NEW",
    "-m connlimit --connlimit-above 1000 --connlimit-mask 32 --connlimit-saddr",
  ),
);

const marking = pick(
  "-j MARK --set-mark 1",
  "-j MARK --set-xmark 0x4000/0x4000",
  "-j MARK --or-mark 2",
  "-j MARK --and-mark 0xfffd",
  "-j MARK --xor-mark 0x4000",
  "-j MARK --set-mark 0x1/0x3",
  "-j CONNMARK --set-xmark 0x1/0x1",
  "-j CONNMARK --save-mark",
  "-j CONNMARK --restore-mark --mask 0x3",
);

/** Where a chain may lead: to those after it, so that there are no loops. */
const CHAINS = ["A", "B", "C", "D"];

const onward = (chain: number) =>
  CHAINS.slice(chain + 1).flatMap((name) => [`-j ${name}`, `-g ${name}`]);

function targets(table: string, hook: string, chain: number): fc.Arbitrary<string> {
  const lead = onward(chain);
  const common = pick("-j ACCEPT", "-j RETURN", "", ...lead, ...lead);
  const most = fc.oneof({ weight: 4, arbitrary: common }, { weight: 2, arbitrary: marking });
  if (table === "raw") return fc.oneof(most, pick("-j CT --notrack", "-j DROP"));
  if (table === "mangle") return fc.oneof(most, pick("-j DROP"));
  if (table === "filter") {
    return fc.oneof(most, pick("-j DROP", "-j REJECT --reject-with icmp-admin-prohibited"));
  }
  if (hook === "PREROUTING") {
    return fc.oneof(
      most,
      pick(
        "-j DNAT --to-destination 10.2.0.3",
        "-j DNAT --to-destination 10.2.0.4-10.2.0.5",
        "-j DNAT --to-destination 10.1.0.1",
        "-j DNAT --to-destination 10.1.0.9",
        "-j REDIRECT",
        "-j NETMAP --to 10.2.7.0/24",
      ),
      pick(
        "-p udp -j DNAT --to-destination 10.2.0.3:90",
        "-p tcp -j DNAT --to-destination :79-82",
        "-p udp -j REDIRECT --to-ports 99",
        "-p udp -j DNAT --to-destination 10.2.0.3:90-92",
      ),
    );
  }
  return fc.oneof(
    most,
    pick(
      "-j MASQUERADE",
      "-j SNAT --to-source 10.2.0.77",
      "-j SNAT --to-source 10.2.0.77-10.2.0.78",
      "-j MASQUERADE --random-fully",
    ),
  );
}

function rule(table: string, hook: string, from: string, chain: number): fc.Arbitrary<string> {
  const interfaces = hook === "PREROUTING" || hook === "INPUT"
    ? ["-i left", "! -i left", "-i right", "-i le+", "! -i lo"]
    : hook === "FORWARD"
    ? ["-i left", "-o right", "! -o right", "-o ri+", "-o left"]
    : ["-o right", "! -o right", "-o ri+", "-o left"];
  return fc.tuple(
    fc.oneof({ weight: 3, arbitrary: fc.constant("") }, pick(...interfaces)),
    protocolMatch,
    fc.array(match, { maxLength: 2 }),
    targets(table, hook, chain),
  ).map(([link, protocol, matches, target]) => {
    const bases = new Set<string>();
    // One rule takes -s and -d once, and a protocol once.
    const kept = matches.filter((text) => {
      const base = /(?:^| )(-[sd]) /.exec(text)?.[1];
      if (base === undefined) return true;
      return !bases.has(base) && bases.add(base);
    });
    const protocols = target.startsWith("-p ") ? "" : protocol;
    return ["-A", from, link, protocols, ...kept, target].filter((word) => word !== "").join(" ");
  });
}

const HOOKS: Readonly<Record<string, readonly string[]>> = {
  raw: ["PREROUTING"],
  mangle: ["PREROUTING", "INPUT", "FORWARD", "POSTROUTING"],
  nat: ["PREROUTING", "POSTROUTING"],
  filter: ["INPUT", "FORWARD"],
};

/** One table with rules at one hook and four chains below it. */
function tableText(table: string, hook: string): fc.Arbitrary<string> {
  const chains = [hook, ...CHAINS];
  return fc.tuple(
    fc.tuple(
      ...chains.map((name, i) =>
        fc.array(rule(table, hook, name, i - 1), { maxLength: 4, minLength: name === hook ? 1 : 0 })
      ),
    ),
    table === "filter" ? pick("ACCEPT", "ACCEPT", "DROP") : pick("ACCEPT"),
  ).map(([rules, policy]) =>
    [
      `*${table}`,
      `:${hook} ${policy} [0:0]`,
      ...CHAINS.map((name) => `:${name} - [0:0]`),
      // The node's answers, by which delivery and refusal are seen, go out untouched.
      ...(hook === "POSTROUTING" ? [`-A ${hook} -m addrtype --src-type LOCAL -j ACCEPT`] : []),
      ...rules.flat(),
      "COMMIT",
      "",
    ].join("\n")
  );
}

const ruleSet = fc.tuple(
  ...Object.entries(HOOKS).map(([table, hooks]) =>
    pick(...hooks).chain((hook) => tableText(table, hook))
  ),
).map((tables) => tables.join(""));

const packets = packetsTo(["10.2.0.2", "10.2.0.3", "10.2.9.9"], [79, 80, 81, 95]);

for (const backend of ["iptables", "iptables-legacy"]) {
  Deno.test({
    ...requires(
      `the evaluator agrees with the kernel on random rules, by ${backend}`,
      "root",
      "netns",
      "tun",
      `${backend}-restore`,
    ),
    fn() {
      using node = new KernelNode(backend);
      const sender = new PacketSender(node);
      fc.assert(
        fc.property(ruleSet, packets, (text, list) => {
          const tables = parseNodeTables(node.load(text));
          const state = { tables, nodeAddresses: NODE_ADDRESSES, routes: ROUTES };
          sender.check(list, (flow) => explain(flow, state));
        }),
        { numRuns: 60 },
      );
    },
  });
}

import assert from "node:assert/strict";
import type { Answer, Flow } from "../../../src/explain/answer.ts";
import { explain, type NodeState, parseNodeTables } from "../../../src/explain/iptables/explain.ts";
import { table } from "./kube_proxy_dump.ts";

const NODE = "192.168.0.2";

function ask(
  lines: readonly string[],
  flow: Partial<Flow> = {},
  node: Partial<NodeState> = {},
): Answer {
  return explain(
    { name: "", source: "10.1.0.1", dest: "10.2.0.2", port: 80, protocol: "TCP", ...flow },
    { tables: parseNodeTables([...lines, ""].join("\n")), nodeAddresses: [NODE], ...node },
  );
}

const filter = (...rules: string[]) => table("filter", rules);
const verdict = (...rules: string[]) => ask(filter(...rules)).verdict;

Deno.test("RETURN goes on after the jump, and from a built-in chain to its policy", () => {
  assert.equal(verdict("-A FORWARD -j T1", "-A FORWARD -j DROP", "-A T1 -j RETURN"), "DROP");
  assert.equal(verdict("-A FORWARD -j RETURN", "-A FORWARD -j DROP"), "PASS");
  assert.equal(
    ask(table("filter", ["-A FORWARD -j RETURN"], { FORWARD: "DROP" })).verdict,
    "DROP",
  );
  assert.equal(verdict("-A FORWARD -j T1", "-A T1 -j RETURN", "-A T1 -j DROP"), "PASS");
});

Deno.test("the end of a chain goes on after the jump", () => {
  assert.equal(verdict("-A FORWARD -j T1", "-A FORWARD -j DROP", "-A T1 -p udp -j ACCEPT"), "DROP");
  assert.equal(verdict("-A FORWARD -j T1", "-A FORWARD -j DROP"), "DROP");
  assert.equal(verdict("-A FORWARD -j T1", "-A FORWARD -j DROP", "-A T1 -j ACCEPT"), "PASS");
});

Deno.test("goto does not come back to where it was, but to the last jump", () => {
  const through = ["-A FORWARD -j T1", "-A FORWARD -j REJECT", "-A T1 -g T2", "-A T1 -j DROP"];
  assert.equal(verdict(...through), "REJECT");
  assert.equal(verdict(...through, "-A T2 -j RETURN"), "REJECT");
  assert.equal(verdict(...through, "-A T2 -j ACCEPT"), "PASS");
  assert.equal(verdict("-A FORWARD -g T1", "-A FORWARD -j DROP"), "PASS");
  assert.equal(
    verdict(
      "-A FORWARD -j T1",
      "-A FORWARD -j REJECT",
      "-A T1 -g T2",
      "-A T2 -j T3",
      "-A T2 -j DROP",
    ),
    "DROP",
  );
});

Deno.test("targets that only do something aside, and rules without one, go on", () => {
  const asides = [
    '-A FORWARD -j LOG --log-prefix "dropped: " --log-level 4',
    "-A FORWARD -j NFLOG --nflog-group 2",
    "-A FORWARD -m comment --comment counted",
    "-A FORWARD -j TRACE",
    "-A FORWARD -m strange -j LOG",
  ];
  const answer = ask(filter(...asides, "-A FORWARD -j DROP"));
  assert.equal(answer.verdict, "DROP");
  assert.deepEqual(answer.unknown, [], "a rule that changes nothing may stay unknown");
});

Deno.test("unknown targets and options are named, with line and text", () => {
  const rules = [
    "-A FORWARD -j NFQUEUE --queue-num 0",
    "-A FORWARD -j MARK --set-strange 1",
    "-A FORWARD -j T9CHAIN --option",
    "-A FORWARD -j ABSENT",
    "-A FORWARD -g ACCEPT",
  ];
  const answer = ask(filter(...rules));
  assert.equal(answer.verdict, "PASS");
  assert.deepEqual(
    answer.unknown.map(({ table, chain, rule, line, text, reason }) => [
      `${table} ${chain} ${rule} ${line}`,
      text,
      reason,
    ]),
    [
      [
        "filter FORWARD 1 6",
        rules[0],
        "NFQUEUE is neither a chain of this table nor a known target",
      ],
      ["filter FORWARD 2 7", rules[1], "option --set-strange is not understood"],
      ["filter FORWARD 3 8", rules[2], "option --option is not understood"],
      [
        "filter FORWARD 4 9",
        rules[3],
        "ABSENT is neither a chain of this table nor a known target",
      ],
      [
        "filter FORWARD 5 10",
        rules[4],
        "ACCEPT is neither a chain of this table nor a known target",
      ],
    ],
  );
});

Deno.test("chains that call themselves are not followed", () => {
  const answer = ask(filter("-A FORWARD -j T1", "-A T1 -j T2", "-A T2 -j T1", "-A T2 -j DROP"));
  assert.equal(answer.verdict, "DROP");
  assert.equal(answer.unknown[0].reason, "chain T1 calls itself");
});

Deno.test("rules that multiply without end are given up", () => {
  const rules: string[] = [];
  for (let i = 0; i < 40; i++) rules.push(`-A T${i} -j T${i + 1}`, `-A T${i} -j T${i + 1}`);
  assert.throws(
    () => ask(filter("-A FORWARD -j T0", ...rules)),
    /^TooManyWays: chain T\d+: the flow can take too many ways to follow them all$/,
  );
});

Deno.test("marks that multiply without end are given up", () => {
  const rules = Array.from({ length: 32 }, (_, bit) => {
    const mark = `0x${(2 ** bit).toString(16)}`;
    return `-A FORWARD -m statistic --mode random --probability 0.5 -j MARK --or-mark ${mark}`;
  });
  assert.throws(() => ask(filter(...rules)), /^TooManyWays: chain FORWARD: /);
});

Deno.test("ways that end alike are one outcome", () => {
  const answer = ask(filter(
    ...Array.from(
      { length: 40 },
      () => "-A FORWARD -m statistic --mode random --probability 0.5 -j MARK --set-xmark 0x1/0x1",
    ),
    "-A FORWARD -m statistic --mode nth --every 4 --packet 1 -j DROP",
  ));
  assert.equal(answer.verdict, "PASS");
  assert.deepEqual(
    answer.outcomes.map(({ verdict, probability }) => [verdict, probability]),
    [["PASS", 0.75], ["DROP", 0.25]],
  );
});

Deno.test("ways to several backends part where any rule behind tells these apart", () => {
  const backends = ["10.9.0.1", "10.9.0.2", "10.9.0.3", "10.9.0.4"];
  const dnat = backends.map((address, i) => {
    const random = `-m statistic --mode random --probability ${1 / (backends.length - i)}`;
    return `-A PREROUTING ${random} -j DNAT --to-destination ${address}:8080`;
  });
  const left = (...rules: string[]) => {
    const answer = ask([...table("nat", dnat), ...filter(...rules)]);
    const { steps } = answer.outcomes.find(({ verdict }) => verdict === "DROP")!;
    const { text, action } = answer.steps[steps.at(-1)!];
    assert.deepEqual([text, action], [rules.at(-1), "dropped"]);
    return answer.backends.map(({ address }) => address);
  };
  const others = backends.toSpliced(2, 1);
  assert.deepEqual(left("-A FORWARD -d 10.9.0.3 -j DROP"), others);
  assert.deepEqual(left("-A FORWARD -d 10.9.0.2/31 -j DROP"), ["10.9.0.1", "10.9.0.4"]);
  assert.deepEqual(left("-A FORWARD ! -d 10.9.0.3 -j DROP"), ["10.9.0.3"]);
  assert.deepEqual(left("-A FORWARD -m iprange --dst-range 10.9.0.3-10.9.0.3 -j DROP"), others);
  assert.deepEqual(left("-A FORWARD -m conntrack --ctreplsrc 10.9.0.3 -j DROP"), others);
  assert.deepEqual(
    left(
      "-A FORWARD -d 10.9.0.3 -j MARK --set-mark 1",
      "-A FORWARD -j T1",
      "-A T1 -m mark --mark 1 -j DROP",
    ),
    others,
  );
});

Deno.test("chances of 0 and 1 leave nothing to chance", () => {
  const random = (p: string, not = "") =>
    `-A FORWARD -m statistic --mode random${not} --probability ${p} -j DROP`;
  assert.deepEqual(ask(filter(random("1.00000000000"))).outcomes.length, 1);
  assert.equal(verdict(random("1.00000000000")), "DROP");
  assert.equal(verdict(random("0.00000000000")), "PASS");
  assert.equal(verdict(random("0.00000000000", " !")), "DROP");
});

Deno.test("marks: every way of setting them", () => {
  const cases: [string, string][] = [
    ["--set-xmark 0x4000/0x4000", "0x4003"],
    ["--set-mark 0x5", "0x5"],
    ["--set-mark 0x4/0x1", "0x6"],
    ["--set-xmark 0x4/0x1", "0x6"],
    ["--set-xmark 0x2/0x0", "0x1"],
    ["--or-mark 0x8000", "0x8003"],
    ["--and-mark 0x1", "0x1"],
    ["--xor-mark 0xffffffff", "0xfffffffc"],
    ["--set-xmark 0x80000000/0x80000000", "0x80000003"],
  ];
  for (const [words, mark] of cases) {
    const rules = [
      "-A FORWARD -j MARK --set-mark 3",
      `-A FORWARD -j MARK ${words}`,
      `-A FORWARD -m mark --mark ${mark} -j DROP`,
    ];
    assert.equal(ask(table("filter", rules)).verdict, "DROP", words);
  }
});

Deno.test("the connection's mark is kept and given back", () => {
  const answer = ask([
    ...table("mangle", [
      "-A PREROUTING -j MARK --set-mark 0x14",
      "-A PREROUTING -j CONNMARK --save-mark --nfmask 0xf --ctmask 0xff",
      "-A PREROUTING -j MARK --set-mark 0xf0",
      "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xff",
    ]),
    ...filter("-A FORWARD -m mark --mark 0xf4 -m connmark --mark 0x4 -j DROP"),
  ]);
  assert.equal(answer.verdict, "DROP");
});

Deno.test("tables are asked in the kernel's order, and ACCEPT ends only its own", () => {
  const all = [
    ...table("raw", ["-A PREROUTING -j ACCEPT"]),
    ...table("mangle", [
      "-A PREROUTING -j ACCEPT",
      "-A FORWARD -j ACCEPT",
      "-A POSTROUTING -j ACCEPT",
    ]),
    ...table("nat", ["-A PREROUTING -j ACCEPT", "-A POSTROUTING -j ACCEPT"]),
    ...table("filter", ["-A FORWARD -j ACCEPT"]),
  ];
  const steps = ask(all).steps.filter(({ table }) => table !== null);
  assert.deepEqual(steps.map(({ hook, table }) => `${hook} ${table}`), [
    "PREROUTING raw",
    "PREROUTING mangle",
    "PREROUTING nat",
    "FORWARD mangle",
    "FORWARD filter",
    "POSTROUTING mangle",
    "POSTROUTING nat",
  ]);
  assert.equal(ask([...all.slice(0, -1), "-A FORWARD -j DROP", "COMMIT"]).verdict, "PASS");
});

Deno.test("after DNAT the route is decided again", () => {
  const nat = (to: string) => table("nat", [`-A PREROUTING -j DNAT --to-destination ${to}`]);
  const rules = filter("-A INPUT -j DROP", "-A FORWARD -j REJECT");
  assert.equal(ask([...nat(NODE), ...rules]).verdict, "DROP");
  assert.equal(ask([...nat("10.9.9.9"), ...rules], { dest: NODE }).verdict, "REJECT");
  assert.equal(ask([...table("nat", ["-A PREROUTING -j REDIRECT"]), ...rules]).verdict, "DROP");
});

Deno.test("what the node sends is asked in OUTPUT only, and to itself in INPUT too", () => {
  const rules = [
    ...table("nat", ["-A PREROUTING -j DNAT --to-destination 10.9.9.9"]),
    ...filter("-A INPUT -j DROP", "-A OUTPUT -p udp -j REJECT", "-A FORWARD -j REJECT"),
  ];
  assert.equal(ask(rules, { source: NODE }).verdict, "PASS");
  assert.equal(ask(rules, { source: NODE, dest: NODE }).verdict, "DROP");
  assert.equal(ask(rules, { source: NODE, protocol: "UDP" }).verdict, "REJECT");
});

Deno.test("DNAT: addresses, ports and ranges of both", () => {
  const backends = (to: string, flow: Partial<Flow> = {}) =>
    ask(table("nat", [`-A PREROUTING -j DNAT --to-destination ${to}`]), flow).backends
      .map(({ address, port, probability }) => `${address}:${port} ${probability}`);
  assert.deepEqual(backends("10.0.0.9"), ["10.0.0.9:80 1"]);
  assert.deepEqual(backends("10.0.0.9:8080"), ["10.0.0.9:8080 1"]);
  assert.deepEqual(backends(":8080"), ["10.2.0.2:8080 1"]);
  assert.deepEqual(backends("10.0.0.9:8080 --random --persistent"), ["10.0.0.9:8080 1"]);
  assert.deepEqual(backends("10.0.0.8-10.0.0.9:8080"), ["10.0.0.8:8080 0.5", "10.0.0.9:8080 0.5"]);
  assert.deepEqual(backends("10.0.0.9:90-91"), ["10.0.0.9:90 0.5", "10.0.0.9:91 0.5"]);
  assert.deepEqual(backends("10.0.0.9:70-90"), ["10.0.0.9:80 1"], "a port within stays");
  const v6 = { source: "fd00::1", dest: "fd00::2" };
  const six = (to: string) => {
    const rules = table("nat", [`-A PREROUTING -j DNAT --to-destination ${to}`]);
    return ask(rules, v6).backends.map(({ address, port }) => `${address} ${port}`);
  };
  assert.deepEqual(six("[fd00::9]:8080"), ["fd00::9 8080"]);
  assert.deepEqual(six("fd00::9"), ["fd00::9 80"]);
  assert.deepEqual(six("[fd00::9]-[fd00::a]:8080"), ["fd00::9 8080", "fd00::a 8080"]);
  assert.deepEqual(six("[fd00::9-fd00::a]:8080"), ["fd00::9 8080", "fd00::a 8080"]);
  for (const wrong of ["10.0.0.0-10.255.0.0", "10.0.0.9:80-90/1000", "10.0.0.9:0-65535", "a"]) {
    const answer = ask(
      table("nat", [
        `-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination ${wrong}`,
      ]),
      wrong.includes("0-65535") ? { port: 80 } : {},
    );
    assert.equal(answer.unknown.length, 1, wrong);
    assert.equal(answer.verdict, "PASS");
  }
});

Deno.test("a source that is rewritten without a Service is a masqueraded PASS", () => {
  for (
    const target of [
      "MASQUERADE --random-fully",
      "SNAT --to-source 1.2.3.4",
      "NETMAP --to 1.0.0.0/8",
    ]
  ) {
    const answer = ask(table("nat", [`-A POSTROUTING ! -d 10.1.0.0/16 -j ${target}`]));
    assert.equal(answer.verdict, "PASS");
    assert.equal(answer.masquerade, true, target);
  }
});

Deno.test("untracked packets are not translated", () => {
  const answer = ask([
    ...table("raw", ["-A PREROUTING -d 10.2.0.2/32 -j CT --notrack"]),
    ...table("nat", ["-A PREROUTING -j DNAT --to-destination 10.9.9.9"]),
    ...filter("-A FORWARD -m conntrack --ctstate UNTRACKED -j DROP"),
  ]);
  assert.equal(answer.verdict, "DROP");
  assert.equal(ask(table("raw", ["-A PREROUTING -j NOTRACK"])).unknown.length, 0);
  assert.equal(ask(table("raw", ["-A PREROUTING -j CT --zone 3"])).unknown.length, 0);
});

Deno.test("a transparent proxy's packets go to the node", () => {
  const answer = ask([
    ...table("mangle", [
      "-A PREROUTING -p tcp -j TPROXY --on-port 15001 --on-ip 0.0.0.0 --tproxy-mark 0x200/0xf00",
    ]),
    ...filter("-A FORWARD -j REJECT", "-A INPUT -m mark --mark 0x200/0xf00 -j DROP"),
  ]);
  assert.equal(answer.verdict, "DROP");
  assert(answer.steps.some(({ action }) => action.includes("socket on port 15001")));
});

Deno.test("saved text of both families, with and without headers", () => {
  const four = table("filter", ["-A FORWARD -j DROP"]);
  const six = table("filter", ["-A FORWARD -d fd00::/64 -j REJECT"]);
  const both = [
    "# Generated by iptables-save v1.8.9 (nf_tables) on Mon",
    ...four,
    "# Completed on Mon",
    "# Generated by ip6tables-save v1.8.9 (nf_tables) on Mon",
    ...six,
  ];
  assert.equal(ask(both).verdict, "DROP");
  const flow = { source: "fd00::1", dest: "fd00::2" };
  const answer = ask(both, flow);
  assert.equal(answer.verdict, "REJECT");
  assert.equal(answer.steps.at(-1)!.line, both.length - 1, "lines are those of the whole text");
  assert.equal(ask(six, flow).verdict, "REJECT", "a text without header is what its addresses are");
  assert.equal(ask(six).verdict, "PASS");
  assert.throws(
    () => ask([...four, ...four]),
    /^SaveTextError: line 7: table filter is there twice/,
  );
  assert.throws(() => ask(["*filter", "hello", "COMMIT"]), /^SaveTextError: line 2: expected -A/);
});

Deno.test("a family without rules passes everything", () => {
  assert.equal(ask([]).verdict, "PASS");
  assert.deepEqual(ask([]).outcomes.map(({ probability }) => probability), [1]);
});

Deno.test("what is dropped after its source was rewritten did not leave masqueraded", () => {
  const answer = ask([
    ...table("nat", ["-A POSTROUTING -j MASQUERADE"]),
    ...filter("-A INPUT -j DROP"),
  ], { source: NODE, dest: NODE });
  assert.equal(answer.verdict, "DROP");
  assert.equal(answer.masquerade, false);
});

Deno.test("what cannot be decided does not matter where the next rule does the same", () => {
  const rules = (next: string) => [
    "*filter",
    ":FORWARD DROP [0:0]",
    "-A FORWARD -m physdev --physdev-is-in -j ACCEPT",
    `-A FORWARD ${next}`,
    "COMMIT",
  ];
  const same = ask(rules("-d 10.2.0.0/16 -j ACCEPT"));
  assert.deepEqual([same.verdict, same.unknown], ["PASS", []]);
  for (const other of ["-j DROP", "-d 10.9.0.0/16 -j ACCEPT"]) {
    assert.equal(ask(rules(other)).unknown.length, 1, other);
  }
  const chance = "-m statistic --mode random --probability 0.5 -j ACCEPT";
  assert.equal(ask(rules(chance)).unknown.length, 1);
});

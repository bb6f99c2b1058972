import assert from "node:assert/strict";
import { explainFlows, parseNodeTables } from "../../src/explain/iptables/explain.ts";
import type { Outcome } from "../../src/explain/answer.ts";
import { formatAnswers } from "../../src/explain/text.ts";

const RULES = `*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -m comment --comment "ns/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-A
-A KUBE-SVC-A -m statistic --mode random --probability 0.25000000000 -j DNAT --to-destination 10.1.0.1:8080
-A KUBE-SVC-A -m strange --new -j RETURN
-A KUBE-SVC-A -j DNAT --to-destination 10.1.0.2:8080
COMMIT
`;

Deno.test("the text says where, then how, then what is not known", () => {
  const flows = [
    { name: "a\x1b[31m", source: "10.9.9.9", dest: "10.0.0.1", port: 80, protocol: "TCP" as const },
  ];
  const answers = explainFlows(flows, { tables: parseNodeTables(RULES), nodeAddresses: [] });
  assert.equal(
    formatAnswers(flows, answers),
    `a [31m: 10.9.9.9 to 10.0.0.1:80/TCP
  FORWARD ns/web:http, as far as known
    25% FORWARD to 10.1.0.1:8080
    75% FORWARD to 10.1.0.2:8080
  how FORWARD to 10.1.0.1:8080 comes about:
    PREROUTING: nat PREROUTING rule 1: jumps to KUBE-SERVICES
      -A PREROUTING -j KUBE-SERVICES
    PREROUTING: nat KUBE-SERVICES rule 1: jumps to KUBE-SVC-A
      -A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -m comment --comment "ns/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-A
    PREROUTING: nat KUBE-SVC-A rule 1: destination becomes 10.1.0.1:8080; by chance, probability 0.25
      -A KUBE-SVC-A -m statistic --mode random --probability 0.25000000000 -j DNAT --to-destination 10.1.0.1:8080
    routing of 10.1.0.1: on through the node
  how FORWARD to 10.1.0.2:8080 comes about, where it differs:
    PREROUTING: nat KUBE-SVC-A rule 2: taken as no match: match strange is not known
      -A KUBE-SVC-A -m strange --new -j RETURN
    PREROUTING: nat KUBE-SVC-A rule 3: destination becomes 10.1.0.2:8080
      -A KUBE-SVC-A -j DNAT --to-destination 10.1.0.2:8080
    routing of 10.1.0.2: on through the node
  not known:
    nat KUBE-SVC-A rule 2 (line 8): match strange is not known
      -A KUBE-SVC-A -m strange --new -j RETURN
`,
  );
});

Deno.test("backends that are reached in one and the same way are told the way once", () => {
  const name = "10.9.9.9 10.0.0.1:80/tcp";
  const to = (address: string): Outcome => ({
    verdict: "FORWARD",
    backend: { address, port: 8080 },
    probability: 0.5,
    masquerade: false,
    steps: [0],
  });
  const step = { hook: null, table: null, chain: null, rule: null, line: null };
  const text = formatAnswers(
    [{ name, source: "10.9.9.9", dest: "10.0.0.1", port: 80, protocol: "TCP" }],
    [{
      name,
      verdict: "FORWARD",
      service: "ns/web",
      backends: [],
      masquerade: false,
      outcomes: [to("10.1.0.1"), to("10.1.0.2")],
      steps: [{ ...step, text: "source", action: "from outside" }],
      unknown: [],
    }],
  );
  assert.equal(
    text,
    `10.9.9.9 to 10.0.0.1:80/TCP
  FORWARD ns/web
    50% FORWARD to 10.1.0.1:8080
    50% FORWARD to 10.1.0.2:8080
  how FORWARD to 10.1.0.1:8080 comes about:
    source: from outside
`,
  );
});

Deno.test("a flow is not named twice, whatever it says of its source", () => {
  const flow = { dest: "fd00::1", port: 80, protocol: "TCP" as const };
  const sources = [
    { source: "fd00::9", name: "fd00::9 [fd00::1]:80/TCP" },
    { source: "fd00::9", sourcePort: 33, name: "[FD00::9]:33 [fd00::1]:80/tcp" },
  ];
  const heads = sources.map((source) => {
    const flows = [{ ...flow, ...source }];
    return formatAnswers(flows, explainFlows(flows, { tables: {}, nodeAddresses: [] })).split(
      "\n",
    )[0];
  });
  assert.deepEqual(heads, [
    "fd00::9 to [fd00::1]:80/TCP",
    "[fd00::9]:33 to [fd00::1]:80/TCP",
  ]);
});

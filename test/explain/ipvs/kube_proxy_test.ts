import assert from "node:assert/strict";
import type { Answer } from "../../../src/explain/answer.ts";
import { ask, NODE, POD, RULES, SERVERS, SETS, short } from "./kube_proxy_dump.ts";

const BOTH = "FORWARD 10.244.0.11:8080 0.5, 10.244.1.12:8080 0.5";
const BOTH_MASQUERADED =
  "FORWARD 10.244.0.11:8080 0.5 masqueraded, 10.244.1.12:8080 0.5 masqueraded";

/** The places that acted on the first outcome, in order: "PREROUTING nat KUBE-SERVICES". */
function places({ outcomes, steps }: Answer): string[] {
  return outcomes[0].steps.map((index) => {
    const { hook, table, chain, text } = steps[index];
    return table === null ? text : `${hook} ${table} ${chain}`;
  });
}

Deno.test("a pod's packet to a cluster IP goes to every endpoint in turn", () => {
  const answer = ask({ source: POD, dest: "10.96.0.10" });
  assert.equal(short(answer), BOTH);
  assert.deepEqual(answer.unknown, []);
  const { action, text, line } = answer.steps.find(({ table }) => table === "ipvs")!;
  assert.deepEqual([text, line], ["-a -t 10.96.0.10:80 -r 10.244.0.11:8080 -m -w 1", 2]);
  assert.match(action, /^destination becomes 10\.244\.0\.11:8080, probability 0\.5 \(rr takes/);
});

Deno.test("the way leads through the hooks as IPVS does: INPUT, then OUTPUT and POSTROUTING", () => {
  const way = places(ask({ dest: "10.96.0.10" }));
  const expected = [
    "PREROUTING nat KUBE-MARK-MASQ",
    "routing of 10.96.0.10",
    "INPUT filter KUBE-IPVS-FILTER",
    "INPUT ipvs 10.96.0.10:80/TCP",
    "routing of 10.244.0.11",
    "OUTPUT filter OUTPUT",
    "POSTROUTING nat KUBE-POSTROUTING",
  ];
  assert.deepEqual(way.filter((place) => expected.includes(place)).filter(unlikeBefore), expected);
  assert.ok(!way.some((place) => place.startsWith("FORWARD")));
});

const unlikeBefore = (place: string, i: number, all: readonly string[]) => place !== all[i - 1];

for (
  const [name, expected, flow] of [
    ["from outside to a cluster IP", BOTH_MASQUERADED, { dest: "10.96.0.10" }],
    ["from the node to a cluster IP", BOTH_MASQUERADED, {
      source: "10.96.0.10",
      dest: "10.96.0.10",
    }],
    ["from a pod to itself", "FORWARD 10.244.0.11:8080 0.5 masqueraded, 10.244.1.12:8080 0.5", {
      source: "10.244.0.11",
      dest: "10.96.0.10",
    }],
    ["without endpoints", "REJECT", { dest: "10.96.0.11" }],
    ["another port of a virtual server's address", "REJECT", { dest: "10.96.0.10", port: 22 }],
    ["another protocol", "REJECT", { dest: "10.96.0.10", protocol: "UDP" }],
    ["the node port", BOTH_MASQUERADED, { dest: NODE, port: 30080 }],
    ["a port of the node", "PASS", { dest: NODE, port: 22 }],
    ["an address of nobody's", "PASS", { dest: "192.0.2.1" }],
    ["a load balancer, from within its ranges", BOTH_MASQUERADED, { dest: "203.0.113.5" }],
    ["a load balancer, from without", "DROP", { source: "192.168.50.33", dest: "203.0.113.5" }],
    ["a load balancer, from the node", "DROP", { source: "203.0.113.5", dest: "203.0.113.5" }],
    [
      "an external IP of policy Local",
      "FORWARD 10.244.0.11:8080 1",
      { dest: "203.0.113.10" },
    ],
    ["from loopback", "DROP", { source: "127.0.0.1", dest: "10.96.0.10" }],
  ] as const
) {
  Deno.test(`a node of kube-proxy in ipvs mode: ${name}`, () => {
    assert.equal(short(ask(flow)), expected);
  });
}

Deno.test("a program that chooses its source is told what the kernel would have chosen", () => {
  const { steps } = ask({ source: NODE, dest: "203.0.113.5" });
  assert.match(steps[0].action, /binds no address would have 203\.0\.113\.5 for its source$/);
});

Deno.test("what no text tells of clients and connections is named", () => {
  const sticky = ask({ dest: "203.0.113.5" });
  assert.deepEqual(sticky.unknown.map(({ chain, line }) => [chain, line]), [
    ["203.0.113.5:80/TCP", 8],
  ]);
  assert.match(sticky.unknown[0].reason, /^a client of the last 600 s keeps its real server/);
  const established = ask({ dest: "10.96.0.10", state: "ESTABLISHED" });
  assert.match(established.unknown[0].reason, /^which connections IPVS has/);
});

Deno.test("without the set of addresses, those of virtual servers are taken for the node's", () => {
  const old = SETS.split("\n").filter((line) => !line.includes("KUBE-IPVS-IPS")).join("\n");
  const rules = RULES.split("\n").filter((line) => !line.includes("KUBE-IPVS-IPS")).join("\n");
  const answer = ask({ source: POD, dest: "10.96.0.10" }, { sets: old, rules });
  assert.equal(short(answer), BOTH);
  assert.match(answer.unknown[0].reason, /^whether the node has the address 10\.96\.0\.10 is not/);
  assert.deepEqual(ask({ dest: NODE, port: 30080 }, { sets: old, rules }).unknown, []);
});

Deno.test("an endpoint on the node itself is reached without masquerading", () => {
  const servers = SERVERS.replaceAll("10.244.0.11:8080", `${NODE}:8080`);
  assert.equal(
    short(ask({ dest: "10.96.0.10" }, { servers })),
    `FORWARD ${NODE}:8080 0.5, 10.244.1.12:8080 0.5 masqueraded`,
  );
});

Deno.test("a mark comes before the address, and keeps the port where it is persistent", () => {
  const mangle = "*mangle\n-A PREROUTING -p tcp -m tcp --dport 80 -j MARK --set-mark 7\nCOMMIT\n";
  const rules = RULES.replace("*filter\n", `${mangle}*filter\n`);
  const server = "-A -f 7 -s rr\n-a -f 7 -r 10.244.9.9:9090 -m -w 1\n";
  const there = (servers: string) =>
    short(ask({ source: POD, dest: "10.96.0.10" }, { rules, servers }));
  assert.equal(there(SERVERS + server), "FORWARD 10.244.9.9:9090 1");
  assert.equal(there(SERVERS + server.replace("rr\n", "rr -p 60\n")), "FORWARD 10.244.9.9:80 1");
  assert.equal(there(SERVERS + server.replaceAll("-f 7", "-f 8")), BOTH);
});

Deno.test("virtual servers of all ports and of FTP take what they are for", () => {
  const at = (port: number, servers: string) =>
    short(ask({ source: POD, dest: "10.96.0.10", port }, { servers, rules: "" }));
  const all = "-A -t 10.96.0.10:0 -s rr -p 60\n-a -t 10.96.0.10:0 -r 10.244.9.9:0 -m -w 1\n";
  assert.equal(at(4321, all), "FORWARD 10.244.9.9:4321 1");
  assert.equal(at(4321, all.replace(" -p 60", "")), "REJECT");
  const ftp = "-A -t 10.96.0.10:21 -s rr -p 60\n-a -t 10.96.0.10:21 -r 10.244.9.9:2121 -m -w 1\n";
  assert.equal(at(21, ftp), "FORWARD 10.244.9.9:2121 1");
  assert.equal(at(4321, ftp), "FORWARD 10.244.9.9:4321 1");
  assert.equal(at(4321, ftp.replace(" -p 60", "")), "PASS");
  assert.equal(at(80, ftp), "PASS");
});

Deno.test("other ways to real servers than masquerading are named", () => {
  const servers = SERVERS.replaceAll(" -m ", " -g ");
  const { unknown } = ask({ source: POD, dest: "10.96.0.10" }, { servers });
  assert.match(unknown[0].reason, /by way of direct$/);
});

/** Rules of others, and others that meddle with ours. */

import assert from "node:assert/strict";
import { cleanupIptables } from "../../../src/dataplane/iptables/cleanup.ts";
import { ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import type { AgentProcess } from "./agent.ts";
import { type Bed, faultTest } from "./bed.ts";
import { SERVERS } from "./network.ts";
import { service, slice } from "./objects.ts";

const VIP = "172.30.0.1";
const OBJECTS = [
  service("web", VIP),
  slice("web", [SERVERS[0]]),
  service("node-port", "172.30.0.2", { nodePort: 30080 }),
  slice("node-port", SERVERS),
  service("refused", "172.30.0.3"),
];
const MORE = [service("more", "172.30.0.4"), slice("more", [SERVERS[1]])];

/** Rules such as CNI plugins, the kubelet, Docker and administrators make, and some that are odd. */
const FOREIGN: readonly string[][] = [
  ["-t", "nat", "-N", "CNI-HOSTPORT-DNAT"],
  words("-t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080,8443 -j RETURN"),
  words("-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT"),
  // A chain whose name begins like one of ours.
  ["-t", "nat", "-N", "KUBE-SVC"],
  words("-t nat -A KUBE-SVC -j RETURN"),
  ["-t", "nat", "-N", "KUBE-KUBELET-CANARY"],
  ["-t", "filter", "-N", "KUBE-SVC-AAAAAAAAAAAAAAAA"],
  words("-t filter -A KUBE-SVC-AAAAAAAAAAAAAAAA -j DROP"),
  [
    ...words("-t filter -I INPUT -s 203.0.113.0/24 -m comment --comment"),
    'it\'s "us" \\ -j',
    "-j",
    "DROP",
  ],
  [...words("-t filter -A FORWARD -m comment --comment"), "two\nlines", "-j", "ACCEPT"],
  [...words("-t filter -A OUTPUT -m comment --comment"), "-A KUBE-SERVICES -j DROP"],
  words("-t filter -A FORWARD -m connlimit --connlimit-above 1000 -j DROP"),
  words("-t mangle -A PREROUTING -p tcp --syn -j TCPMSS --set-mss 1300"),
  words("-t mangle -A FORWARD -j MARK --set-mark 0x7"),
  words("-t raw -A PREROUTING -p udp --dport 4789 -j NOTRACK"),
  ["-t", "raw", "-N", "KUBE-SERVICES"],
  words("-t security -A OUTPUT -p icmp -j ACCEPT"),
];

function words(text: string): string[] {
  return text.split(" ");
}

/** Makes the rules that this kernel has the modules for; the lines of them. */
async function addForeign(bed: Bed): Promise<string[]> {
  const before = new Set(await bed.rules());
  let refused = 0;
  for (const args of FOREIGN) {
    try {
      await bed.iptables(...args);
    } catch (error) {
      refused++;
      if (refused > 4) throw error;
    }
  }
  return (await bed.rules()).filter((line) => !before.has(line));
}

function assertKept(rules: readonly string[], foreign: readonly string[]): void {
  const there = new Set(rules);
  assert.deepEqual(foreign.filter((line) => !there.has(line)), []);
}

/** Has the agent compare all rules. */
async function fullSync(agent: AgentProcess): Promise<readonly string[]> {
  await agent.sync();
  const { full, drift } = await agent.next((report) => "lines" in report);
  assert.equal(full, true);
  assert.equal(await agent.synced(), true);
  return drift;
}

faultTest("what others have stays through syncs, a failure, a restart and cleanup", async (bed) => {
  const foreign = await addForeign(bed);
  assert.ok(foreign.length >= 12, foreign.join("\n"));
  const agent = await bed.agentWith(OBJECTS, { fullSyncPeriodMs: 0 });
  assertKept(await bed.rules(), foreign);
  await agent.apply(...MORE);
  assert.equal(await agent.synced(), true);
  assertKept(await bed.rules(), foreign);

  bed.programs.set("iptables-restore", { kind: "killed", signal: "KILL" });
  await agent.update([], MORE);
  assert.equal(await agent.synced(), false);
  assertKept(await bed.rules(), foreign);
  bed.programs.set("iptables-restore", null);
  while (!await agent.synced());
  assertKept(await bed.rules(), foreign);
  await agent.kill();
  await bed.agentWith(OBJECTS);
  assertKept(await bed.rules(), foreign);
  // Nothing else is there but what a node without foreign rules has too.
  const ours = new Set(await bed.cleanRules(OBJECTS));
  const rest = (await bed.rules()).filter((line) => !ours.has(line));
  assert.deepEqual(
    rest.filter((line) => !foreign.includes(line) && !/^\w+ :[A-Z]+ ACCEPT$/.test(line)),
    [],
  );

  assert.deepEqual(await cleanupIptables(new ProgramRunner(bed.network.node)), []);
  assertKept(await bed.rules(), foreign);
  const left = (await bed.rules()).filter((line) => ours.has(line));
  assert.deepEqual(left.filter((line) => !/ACCEPT$|KUBE-FIREWALL/.test(line)), []);
});

interface Meddling {
  readonly what: string;
  readonly commands: readonly string[];
  /** What is reported. */
  readonly drift: readonly RegExp[];
}

const MEDDLING: readonly Meddling[] = [
  {
    what: "a jump deleted",
    commands: [
      '-t nat -D PREROUTING -m comment --comment "kubernetes service portals" ' +
      "-j KUBE-SERVICES",
    ],
    drift: [/^IPv[46] nat PREROUTING: without "-m comment .*-j KUBE-SERVICES"$/],
  },
  {
    what: "a rule in front of one of our chains",
    commands: ["-t nat -I KUBE-SERVICES -d 172.30.0.1 -p tcp -j RETURN"],
    drift: [/^IPv[46] nat KUBE-SERVICES: with "-d \S+ -p tcp -j RETURN"$/],
  },
  {
    what: "a rule of one of our chains deleted",
    commands: ["-t nat -D KUBE-POSTROUTING 1"],
    drift: [/^IPv[46] nat KUBE-POSTROUTING: without "-m mark ! --mark /],
  },
  {
    what: "a rule in a chain of ours twice",
    commands: ["-t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000"],
    drift: [/^IPv[46] nat KUBE-MARK-MASQ: /],
  },
  {
    what: "a Service's chain emptied",
    commands: ["-t nat -F KUBE-SVC-*"],
    drift: [/^IPv[46] nat KUBE-SVC-\w+: without "/],
  },
  {
    what: "an endpoint changed",
    commands: [
      "-t nat -F KUBE-SEP-*",
      "-t nat -A KUBE-SEP-* -p tcp -j DNAT --to-destination 10.180.0.99:1",
    ],
    drift: [
      /^IPv[46] nat KUBE-SEP-\w+: without .* and 1 more, with "-p tcp -j DNAT --to-destination /,
    ],
  },
  {
    what: "a chain of ours that leads nowhere any more",
    commands: ["-t filter -F KUBE-FORWARD", "-t filter -F FORWARD", "-t filter -X KUBE-FORWARD"],
    drift: [
      /^IPv[46] filter KUBE-FORWARD: the chain was removed$/,
      /^IPv[46] filter FORWARD: without "/,
    ],
  },
];

for (const { what, commands, drift } of MEDDLING) {
  faultTest(`${what}: reported and put right by the next full sync`, async (bed) => {
    const agent = await bed.agentWith(OBJECTS, { fullSyncPeriodMs: 0 });
    const right = await bed.rules();
    for (const command of commands) {
      const chain = /(KUBE-S\w\w-)\*/.exec(command)?.[1];
      const named = chain === undefined ? command : command.replace(
        `${chain}*`,
        await firstChain(bed, chain),
      );
      await bed.iptables(...split(named));
    }
    const found = await fullSync(agent);
    for (const pattern of drift) {
      assert.ok(found.some((line) => pattern.test(line)), `${pattern}: ${found.join("\n")}`);
    }
    assert.ok(
      agent.log.some((line) => line.startsWith(`someone changed our rules: ${bed.family} `)),
    );
    assert.deepEqual(await bed.rules(), right);
    assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[0]);
    assert.deepEqual(await fullSync(agent), []);
  });
}

/** The chain with this prefix to which the Service "web" leads. */
async function firstChain(bed: Bed, prefix: string): Promise<string> {
  const rules = await bed.iptables("-t", "nat", "-S");
  const service = /"test\/web:main cluster IP".* -j (KUBE-SVC-\w+)/.exec(rules)![1];
  if (service.startsWith(prefix)) return service;
  return new RegExp(`-A ${service} .*-j (KUBE-SEP-\\w+)`).exec(rules)![1];
}

function split(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word);
}

faultTest("a flush of all tables is noticed and undone, without any change", async (bed) => {
  const agent = await bed.agentWith(OBJECTS, { canaryPeriodMs: 100 });
  const right = JSON.stringify(await bed.rules());
  for (const table of ["nat", "filter", "mangle"]) await flush(bed, table);
  await agent.logged(/IPv[46]: tables were flushed; everything is compared/);
  // When the flush takes long, what was made meanwhile falls to it and is made again.
  do {
    assert.equal(await agent.synced(), true);
  } while (JSON.stringify(await bed.rules()) !== right);
  assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[0]);
});

/** Empties a table. When the agent has its chains there again meanwhile, they cannot go. */
async function flush(bed: Bed, table: string): Promise<void> {
  for (let tries = 0;; tries++) {
    await bed.iptables("-t", table, "-F");
    try {
      await bed.iptables("-t", table, "-X");
      return;
    } catch (error) {
      if (tries === 20) throw error;
    }
  }
}

for (const table of ["nat", "filter"]) {
  faultTest(`${table} alone is emptied: noticed and undone at once`, async (bed) => {
    const agent = await bed.agentWith(OBJECTS, { canaryPeriodMs: 100 });
    const right = await bed.rules();
    await bed.iptables("-t", table, "-F");
    await agent.logged(/IPv[46]: tables were flushed; everything is compared/);
    assert.equal(await agent.synced(), true);
    assert.deepEqual(await bed.rules(), right);
    assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[0]);
    // And it is quiet again.
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.equal(agent.log.length, 1, agent.log.join("\n"));
  });
}

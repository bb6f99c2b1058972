/** iptables programs that are missing, fail, are slow or are killed, and a lock that is held. */

import assert from "node:assert/strict";
import { holdXtablesLock } from "../../dataplane/iptables/xtables_lock.ts";
import { requires } from "../../requirements.ts";
import type { AgentProcess } from "./agent.ts";
import { Bed, faultTest, IPV4_ONLY, type Places } from "./bed.ts";
import { SERVERS } from "./network.ts";
import { service, slice } from "./objects.ts";
import type { Fault, Tool } from "./programs.ts";

const VIP = "172.30.0.1";
const BEFORE = [service("web", VIP), slice("web", [SERVERS[0]])];
const AFTER = [service("web", VIP), slice("web", [SERVERS[1]]), service("new", "172.30.0.2")];

/**
 * Makes a change while something is wrong: the old rules stay and forward, and the agent says what
 * the matter is. Once it is put right, the change arrives by itself.
 */
async function failsThenConverges(
  bed: Bed,
  { agent, wrong, right, message }: {
    readonly agent: AgentProcess;
    readonly wrong: () => void;
    readonly right: () => void;
    readonly message: RegExp;
  },
): Promise<void> {
  const before = await bed.rules();
  wrong();
  await agent.update(AFTER);
  const text = await agent.logged(/^sync failed/);
  assert.match(text, message);
  assert.doesNotMatch(text, /\n/);
  assert.equal(await agent.synced(), false);
  assert.deepEqual(await bed.rules(), before);
  assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[0]);
  right();
  while (!await agent.synced());
  assert.deepEqual(await bed.rules(), await bed.cleanRules(AFTER));
  assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[1]);
}

interface Case {
  readonly what: string;
  readonly tool: Tool;
  readonly fault: Fault;
  readonly message: RegExp;
  /** What is tried of IPv6 is tried in a few cases only. */
  readonly places?: Partial<Places>;
}

const CASES: readonly Case[] = [
  {
    what: "iptables-restore that fails at a line",
    tool: "iptables-restore",
    fault: { kind: "fail", status: 1, stderr: "iptables-restore: line 2 failed" },
    message: /refused line 2 \(.+\): exit status 1$/,
    places: {},
  },
  {
    what: "iptables-restore that fails at a line with a reason",
    tool: "iptables-restore",
    fault: {
      kind: "fail",
      status: 2,
      stderr: 'iptables-restore v1.8.9 (legacy): unknown option "--nope"\n' +
        "Error occurred at line: 4",
    },
    message: /refused line 4 \(.+\): unknown option "--nope" \(exit status 2\)$/,
  },
  {
    what: "iptables-restore that says nothing",
    tool: "iptables-restore",
    fault: { kind: "fail", status: 3, stderr: "" },
    message: /-restore failed: exit status 3$/,
  },
  {
    what: "iptables-restore that is killed",
    tool: "iptables-restore",
    fault: { kind: "killed", signal: "KILL" },
    message: /-restore was killed by SIGKILL$/,
    places: {},
  },
  {
    what: "iptables-save that fails",
    tool: "iptables-save",
    fault: { kind: "fail", status: 1, stderr: "iptables-save: Permission denied" },
    message: /-save failed: .*Permission denied \(exit status 1\)$/,
  },
  {
    what: "iptables-save that is killed",
    tool: "iptables-save",
    fault: { kind: "killed", signal: "TERM" },
    message: /-save was killed by SIGTERM$/,
  },
];

for (const { what, tool, fault, message, places = IPV4_ONLY } of CASES) {
  faultTest(`${what}: the old rules stay, and the change arrives later`, async (bed) => {
    // Rules are read at each sync.
    const agent = await bed.agentWith(BEFORE, { fullSyncPeriodMs: 0 });
    await failsThenConverges(bed, {
      agent,
      wrong: () => bed.programs.set(tool, fault),
      right: () => bed.programs.set(tool, null),
      message,
    });
  }, places);
}

for (const tool of ["iptables-restore", "iptables-save"] as const) {
  faultTest(`${tool} that is missing for a while: the change arrives later`, async (bed) => {
    const agent = await bed.agentWith(BEFORE, { fullSyncPeriodMs: 0 });
    let install = () => {};
    await failsThenConverges(bed, {
      agent,
      wrong: () => install = bed.programs.uninstall(tool),
      right: () => install(),
      message: new RegExp(
        `^sync failed: ip6?${tool.slice(2).replace("-", `-${bed.backend}-`)} is not installed`,
      ),
    });
  });
}

faultTest("a change that is refused is followed by a comparison of all rules", async (bed) => {
  const agent = await bed.agentWith(BEFORE);
  bed.programs.set("iptables-restore", {
    kind: "fail",
    status: 1,
    stderr: "iptables-restore: line 2 failed",
  });
  await agent.update(AFTER);
  assert.match(await agent.logged(/compared/), /^everything is compared, because: .* line 2 \(/);
  assert.equal(await agent.synced(), false);
  bed.programs.set("iptables-restore", null);
  const { full } = await agent.next((report) => "lines" in report);
  assert.equal(full, true);
  assert.deepEqual(await bed.rules(), await bed.cleanRules(AFTER));
});

faultTest("while iptables-restore is slow, changes wait and come together", async (bed) => {
  const agent = await bed.agentWith(BEFORE);
  bed.programs.set("iptables-restore", { kind: "held" });
  await agent.update([service("first", "172.30.0.9")]);
  await bed.programs.reached("iptables-restore");
  bed.programs.set("iptables-restore", null);
  for (const object of AFTER) await agent.apply(object);
  await agent.heard();
  await bed.programs.proceed("iptables-restore");
  assert.equal(await agent.synced(), true);
  assert.equal(await agent.synced(), true);
  assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[1]);
  const all = [service("first", "172.30.0.9"), ...AFTER];
  assert.deepEqual(await bed.rules(), await bed.cleanRules(all));
});

Deno.test({
  ...requires(
    "iptables (legacy): the lock held by another for longer than we wait",
    "root",
    "netns",
    "flock",
    "iptables-legacy",
  ),
  async fn() {
    await using bed = await Bed.start("legacy");
    const agent = await bed.agentWith(BEFORE);
    const before = await bed.rules();
    const release = await holdXtablesLock(bed.network.node);
    try {
      await agent.update(AFTER);
      // iptables-restore has waited five seconds for it, and is run once more.
      assert.match(await agent.logged(/compared/), /xtables lock/);
      assert.deepEqual(await bed.rules(), before);
      assert.equal(await bed.network.client.dial(VIP, 80), SERVERS[0]);
    } finally {
      await release();
    }
    while (!await agent.synced());
    assert.deepEqual(await bed.rules(), await bed.cleanRules(AFTER));
  },
});

for (
  const { fault, message } of [
    { fault: { kind: "killed", signal: "KILL" }, message: /ip6?tables-\w+ was killed by SIGKILL$/ },
    {
      fault: { kind: "fail", status: 4, stderr: "Another app is currently holding the lock." },
      message: /ip6?tables-\w+ failed: Another app .* \(exit status 4\)$/,
    },
  ] as const
) {
  faultTest(`iptables that is ${fault.kind} when it looks: no false alarm`, async (bed) => {
    const agent = await bed.agentWith(BEFORE, { canaryPeriodMs: 100 });
    bed.programs.set("iptables", fault);
    assert.match(await agent.logged(/^cannot look after the node/), message);
    bed.programs.set("iptables", null);
    await agent.apply(...AFTER);
    assert.equal(await agent.synced(), true);
    assert.deepEqual(agent.log.filter((line) => /flushed/.test(line)), []);
    assert.deepEqual(await bed.rules(), await bed.cleanRules(AFTER));
  });
}

faultTest("without iptables, it does not start, and says so", async (bed) => {
  for (const tool of ["iptables", "iptables-save", "iptables-restore"] as const) {
    bed.programs.uninstall(tool);
  }
  await assert.rejects(bed.agent(), /iptables.* is not installed/);
}, { IPv4: ["nft"], IPv6: ["nft"] });

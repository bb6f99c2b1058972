/** An agent that is killed, at each step of a sync, while clients go on dialling. */

import assert from "node:assert/strict";
import type { Backend } from "../../../src/dataplane/iptables/programs.ts";
import { type Bed, faultTest } from "./bed.ts";
import { SERVERS } from "./network.ts";
import { service, slice } from "./objects.ts";
import type { Fault, Tool } from "./programs.ts";
import { until } from "../../until.ts";

const VIP = "172.30.0.1";

/** A Service that is always there, and others. */
const BEFORE = [
  service("web", VIP),
  slice("web", SERVERS),
  service("goes", "172.30.0.2", { nodePort: 30002 }),
  slice("goes", ["10.180.0.7"]),
];
/** Services that come during the sync, more than one transaction of nf_tables takes. */
const NEW = Array.from({ length: 130 }, (_, i) => [
  service(`new-${i}`, `172.30.1.${i + 1}`),
  slice(`new-${i}`, ["10.180.0.8"]),
]).flat();
const AFTER = [
  service("web", VIP),
  slice("web", [SERVERS[1]]),
  // Without endpoints: a rule in the other table.
  service("refused", "172.30.0.3"),
  ...NEW,
];

interface Step {
  readonly what: string;
  readonly tool: Tool;
  readonly fault: Fault;
  /** The agent does not read the rules unless it has to. */
  readonly full?: boolean;
  /** What of the sync the node has then. */
  readonly done: "nothing" | "a part" | "all";
  /** Both if absent. */
  readonly backends?: readonly Backend[];
}

const STEPS: readonly Step[] = [
  {
    what: "while it reads the rules",
    tool: "iptables-save",
    fault: { kind: "stop-before" },
    full: true,
    done: "nothing",
  },
  {
    what: "before iptables-restore has begun",
    tool: "iptables-restore",
    fault: { kind: "stop-before" },
    done: "nothing",
  },
  {
    what: "in the middle of a table",
    tool: "iptables-restore",
    fault: { kind: "stop-after-lines", lines: 40 },
    done: "a part",
  },
  {
    what: "after the first transaction",
    tool: "iptables-restore",
    fault: { kind: "stop-after-commits", commits: 1 },
    done: "a part",
  },
  {
    what: "between two transactions of one table",
    tool: "iptables-restore",
    fault: { kind: "stop-after-commits", commits: 2 },
    done: "a part",
    backends: ["nft"],
  },
  {
    what: "after iptables-restore, before it knows",
    tool: "iptables-restore",
    fault: { kind: "stop-after" },
    done: "all",
  },
];

/** Lets connections be made while something happens; all of them must be answered. */
async function forwardingMeanwhile(bed: Bed, fn: () => Promise<void>): Promise<void> {
  const { client } = bed.network;
  await client.begin(VIP, 80);
  let traffic;
  try {
    await fn();
    // Until what comes after the end has been seen too.
    const enough = Math.max(10, await client.answered() + 2);
    await until(async () => await client.answered() >= enough, "connections are answered");
  } finally {
    traffic = await client.end();
  }
  assert.deepEqual(traffic.failures, []);
}

for (const { what, tool, fault, full = false, done, backends } of STEPS) {
  faultTest(`killed ${what}, forwarding goes on and a restart puts it right`, async (bed) => {
    const agent = await bed.agentWith(BEFORE, full ? { fullSyncPeriodMs: 0 } : {});
    const before = await bed.rules();
    const after = await bed.cleanRules(AFTER);
    await forwardingMeanwhile(bed, async () => {
      bed.programs.set(tool, fault);
      await agent.update(AFTER, BEFORE.slice(2));
      await bed.programs.reached(tool);
      // What the program was given is carried out in its own time.
      await until(async () => howMuch(await bed.rules(), before, after) === done, done);
      await agent.kill();
      bed.programs.release();
      await bed.agentWith(AFTER);
    });
    assert.deepEqual(await bed.rules(), after);
  }, backends === undefined ? {} : { IPv4: backends, IPv6: backends });
}

function howMuch(
  rules: readonly string[],
  before: readonly string[],
  after: readonly string[],
): Step["done"] {
  const same = (others: readonly string[]) => JSON.stringify(rules) === JSON.stringify(others);
  return same(before) ? "nothing" : same(after) ? "all" : "a part";
}

faultTest("what the killed one's programs still do after the restart is put right", async (bed) => {
  const agent = await bed.agentWith(BEFORE);
  await forwardingMeanwhile(bed, async () => {
    bed.programs.set("iptables-restore", { kind: "held" });
    await agent.update(AFTER, BEFORE.slice(2));
    await bed.programs.reached("iptables-restore");
    await agent.kill();
    bed.programs.set("iptables-restore", null);
    const again = await bed.agentWith(AFTER, { fullSyncPeriodMs: 0 });
    await bed.programs.proceed("iptables-restore");
    // As it does by itself some seconds after its first sync.
    await until(async () => {
      await again.sync();
      return (await again.next((report) => "lines" in report)).drift.length > 0;
    }, "what was done is found");
    assert.equal(await again.synced(), true);
  });
  assert.deepEqual(await bed.rules(), await bed.cleanRules(AFTER));
});

faultTest("killed without having done anything, it leaves nothing to do", async (bed) => {
  const agent = await bed.agentWith(BEFORE);
  const rules = await bed.rules();
  await forwardingMeanwhile(bed, async () => {
    await agent.kill();
    const again = await bed.agent();
    await again.apply(...BEFORE);
    const sync = await again.next((report) => "lines" in report);
    assert.deepEqual(sync, { lines: 0, full: true, drift: [] });
  });
  assert.deepEqual(await bed.rules(), rules);
});

faultTest("killed before UDP flows are forgotten, it forgets them after a restart", async (bed) => {
  const { client } = bed.network;
  const dns = service("dns", VIP, { protocol: "UDP", port: 53 });
  const agent = await bed.agentWith([dns, slice("dns", [SERVERS[0]], "UDP")]);
  assert.equal(await client.ask(5555, VIP, 53), SERVERS[0]);
  bed.programs.set("iptables-restore", { kind: "stop-after" });
  const moved = slice("dns", [SERVERS[1]], "UDP");
  await agent.apply(moved);
  await bed.programs.reached("iptables-restore");
  await agent.kill();
  bed.programs.release();
  assert.equal(await client.ask(5555, VIP, 53), SERVERS[0]);
  await bed.agentWith([dns, moved]);
  assert.equal(await client.ask(5555, VIP, 53), SERVERS[1]);
});

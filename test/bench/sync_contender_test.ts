import assert from "node:assert/strict";
import { cluster, endpointChange, extraService } from "../../bench/sync_cluster.ts";
import { Contender } from "../../bench/sync_contender.ts";
import { requires } from "../requirements.ts";

const SCRIPT = new URL("../../bench/sync_switchyard.ts", import.meta.url).pathname;

function ours(backend: string, lock: string): Contender {
  return Contender.start(
    "switchyard",
    Deno.execPath(),
    [
      "run",
      ...["read", "write=/proc/sys/net", "ffi", "env", "sys", "run"].map((name) =>
        `--allow-${name}`
      ),
      SCRIPT,
      backend,
    ],
    // Other tests that run now may hold the common one.
    { XTABLES_LOCKFILE: lock },
  );
}

/** By what is programmed: its program, and lines of a Service with ten endpoints. */
const TABLES = [
  // 10 endpoints of 2 rules, their chains, rules that lead to them, and what leads there.
  { tables: "nft", program: "iptables-nft-restore", added: 43 },
  { tables: "legacy", program: "iptables-legacy-restore", added: 43 },
  // 10 endpoints of 2 rules, their chains, the Service's with 2 rules, and 2 elements that lead there.
  { tables: "nftables", program: "nft", added: 35 },
];

for (const { tables, program, added: most } of TABLES) {
  Deno.test({
    ...requires(
      `our contender syncs real rules of ${tables} and says what it took`,
      "root",
      "netns",
      program,
    ),
    async fn() {
      const services = 3;
      const directory = await Deno.makeTempDir();
      await using stack = new AsyncDisposableStack();
      stack.defer(() => Deno.remove(directory, { recursive: true }));
      const contender = stack.use(ours(tables, `${directory}/xtables.lock`));
      await contender.send(cluster(services));
      const first = await contender.ask("sync");
      const rendered = await contender.ask("render");
      const rewritten = await contender.ask("rewrite");
      const floor = await contender.ask("floor");
      await contender.send(endpointChange(services, 0));
      const changed = await contender.ask("sync");
      await contender.send(extraService(services, "apply"));
      const added = await contender.ask("sync");
      await contender.send(extraService(services, "delete"));
      const deleted = await contender.ask("sync");
      assert.equal(floor.lines, 2);
      assert.ok(first.lines > services * most, `${first.lines}`);
      assert.equal(rewritten.lines, rendered.lines);
      // A chain and its two rules go, another comes, and its Service's chain follows.
      assert.ok(changed.lines > 6 && changed.lines < 20, `${changed.lines}`);
      assert.equal(added.lines, most);
      assert.ok(deleted.lines > 0 && deleted.lines < added.lines, `${deleted.lines}`);
      for (const { seconds, cpu, peak } of [first, rendered, rewritten, changed, added, deleted]) {
        assert.ok(seconds > 0 && seconds < 60, `${seconds} s`);
        assert.ok(cpu > 0 && cpu < 60, `${cpu} s of CPU`);
        assert.ok(peak > 10e6 && peak < 1e9, `${peak} bytes`);
      }
    },
  });
}

Deno.test({
  ...requires("a contender that ends says why", "root", "netns"),
  async fn() {
    const script = "read line; echo 'not today' >&2; exit 1";
    await using contender = Contender.start("broken", "sh", ["-c", script], {});
    await assert.rejects(contender.ask("sync"), { message: "broken ended: not today" });
  },
});

Deno.test({
  ...requires("a sync that failed is an error", "root", "netns"),
  async fn() {
    const script = `read line; echo '{"seconds":1,"lines":0,"peak":1,"error":"no chain"}'`;
    await using contender = Contender.start("broken", "sh", ["-c", script], {});
    await assert.rejects(contender.ask("sync"), { message: "broken: no chain" });
  },
});

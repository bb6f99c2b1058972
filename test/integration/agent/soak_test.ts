import assert from "node:assert/strict";
import { requires } from "../../requirements.ts";
import { DoubleServer } from "./api_server.ts";
import { soak } from "./soak.ts";

for (
  const { mode, program, seconds, least } of [
    { mode: "iptables", program: "iptables", seconds: 10, least: 101 },
    { mode: "nftables", program: "nft", seconds: 4, least: 41 },
  ] as const
) {
  Deno.test({
    ...requires(
      `churn, a failing API server and killed agents in ${mode} mode: no connection fails, and the rules end right`,
      "root",
      "netns",
      program,
    ),
    async fn() {
      const report = await soak({
        seconds,
        least,
        seed: 1,
        mode,
        api: () => Promise.resolve(new DoubleServer()),
      });
      const about = JSON.stringify(report, null, 2);
      assert.equal(report.failed, 0, about);
      assert.deepEqual(report.differences, [], about);
      assert.ok(report.changes >= least && report.asked > 100 && report.kills > 0, about);
    },
  });
}

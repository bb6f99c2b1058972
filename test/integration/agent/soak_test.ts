import assert from "node:assert/strict";
import { requires } from "../../requirements.ts";
import { DoubleServer } from "./api_server.ts";
import { soak } from "./soak.ts";

Deno.test({
  ...requires(
    "churn, a failing API server and killed agents: no connection fails, and the rules end right",
    "root",
    "netns",
    "iptables",
  ),
  async fn() {
    const report = await soak({
      seconds: 10,
      least: 101,
      seed: 1,
      api: () => Promise.resolve(new DoubleServer()),
    });
    const about = JSON.stringify(report, null, 2);
    assert.equal(report.failed, 0, about);
    assert.deepEqual(report.differences, [], about);
    assert.ok(report.changes > 100 && report.asked > 100 && report.kills > 0, about);
  },
});

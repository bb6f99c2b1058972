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
    const seed = Math.floor(Math.random() * 1e6);
    const report = await soak({
      seconds: 15,
      seed,
      api: () => Promise.resolve(new DoubleServer()),
    });
    const about = `seed ${seed}: ${JSON.stringify(report, null, 2)}`;
    assert.equal(report.failed, 0, about);
    assert.deepEqual(report.differences, [], about);
    assert.ok(report.changes > 100 && report.asked > 100, about);
  },
});

import assert from "node:assert/strict";
import { rowsOf } from "../../bench/sync_ipvs.ts";

const cost = (ms: number) => ({ ms, cpuMs: ms / 2, messages: ms * 10 });

Deno.test("ipvs: ratios are those of rounds in which the programs took part", () => {
  const rows = rowsOf("ipvs, 9 Services", {
    ours: {
      full: [cost(10), cost(20), cost(90)],
      endpoint: [cost(1), cost(2)],
      added: [cost(3)],
      deleted: [cost(4)],
    },
    programs: {
      ip: [cost(10), cost(10)],
      ipset: [cost(20), cost(20)],
      ipvsadm: [cost(70), cost(10)],
      endpoint: [cost(4), cost(4)],
    },
  });
  const [time, cpu, ipvsadm, messages] = rows;
  assert.deepEqual([time.median, time.spread, time.ratio], [20, [10, 90], (0.1 + 0.5) / 2]);
  assert.equal(cpu.ratio, time.ratio);
  assert.deepEqual(ipvsadm.ratioSpread, [10 / 70, 2]);
  assert.deepEqual([messages.unit, messages.median], ["messages", 200]);
  const endpoint = rows.find(({ name }) => name.includes("endpoint"))!;
  assert.deepEqual([endpoint.ratioSpread, endpoint.against], [[0.25, 0.5], "ipvsadm -R"]);
});

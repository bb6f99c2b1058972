import assert from "node:assert/strict";
import { recordings } from "../../fixtures/ipvs/recording.ts";
import { VirtualMachine } from "./machine.ts";
import { recorderModule } from "./recorder.ts";
import { CASES } from "./recorder_plan.ts";

const machine = await VirtualMachine.prepare();
const reason = machine instanceof VirtualMachine ? "" : ` (skipped: ${machine.message})`;
/** Of schedulers that are the same in all kernels. */
const NAMES = ["wrr-multiples", "mh-port", "sh-fallback-ipv6", "sed-tcp"];

Deno.test({
  name: `IPVS recorder: the kernel picks again what is recorded${reason}`,
  ignore: reason !== "",
  async fn() {
    const { kernel, results } = await (machine as VirtualMachine).run([recorderModule(NAMES)]);
    assert.deepEqual(results.map(({ name }) => name).sort(), [...NAMES].sort());
    const recorded = recordings();
    for (const { name, error, value } of results) {
      assert.equal(error, null);
      const { overhead } = value as { readonly overhead: number };
      assert.deepEqual(value, { ...recorded.get(name), kernel, overhead });
    }
  },
});

Deno.test("IPVS recorder: there is a recording of each case and no other", () => {
  assert.deepEqual([...recordings().keys()].sort(), CASES.map(({ name }) => name).sort());
});

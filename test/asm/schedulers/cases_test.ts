/** Every scheduler goes through the cases. */

import assert from "node:assert/strict";
import { SCHEDULERS } from "../../../src/engine/abi.ts";
import { type Case, CASES } from "./cases.ts";
import { type Connection, Rig } from "./rig.ts";

function play({ steps, ...options }: Case): { got: string; expected: string } {
  const rig = new Rig({ ...options, dests: 3 });
  const open: Connection[] = [];
  const done: string[] = [];
  let port = 1024;
  for (const step of steps.split(" ")) {
    const match = /^([-+=>x~])(\d+|-)?(?:\*(\d+))?(?:\/(\d+))?(?:@(\d+))?$/.exec(step);
    assert.ok(match !== null, step);
    const [, what, who, weight, dest = "1", client = "2"] = match;
    const weights = new Map(rig.weights);
    if (what === "+" || what === "=") rig.change(weights.set(Number(who), Number(weight)));
    else if (what === "-" && weights.delete(Number(who))) rig.change(weights);
    else if (what === "~") rig.wait();
    else if (what === "x") {
      const index = open.findIndex(({ server }) => server === Number(who));
      rig.close(open.splice(index, 1)[0]);
    } else {
      const connection = rig.open(rig.flow(Number(client), port++, Number(dest)));
      if (connection !== null) open.push(connection);
      done.push(step.replace(/^>(\d+|-)/, `>${connection?.server ?? "-"}`));
      continue;
    }
    done.push(step);
  }
  return { got: done.join(" "), expected: steps };
}

for (const each of CASES) {
  Deno.test(`${each.scheduler}: ${each.name}`, () => {
    const { got, expected } = play(each);
    assert.equal(got, expected);
  });
}

Deno.test("there is a case for every scheduler", () => {
  const names = new Set(CASES.map(({ scheduler }) => scheduler));
  assert.deepEqual([...names].sort(), Object.keys(SCHEDULERS).sort());
});

/** Schedulers that Services name in annotations. */

import assert from "node:assert/strict";
import { formatProblem } from "../../src/cluster/source.ts";
import { chooseScheduling, SCHEDULER_NAMES } from "../../src/plan/scheduling.ts";
import { plannerOf, service } from "../dataplane/ipvs/plans.ts";

const HTTP = [{ port: 80, protocol: "TCP" }];
const RR = { scheduler: "rr", flags: [] } as const;
const choose = (scheduler?: string, flags?: string) =>
  chooseScheduling({ scheduler, flags }, SCHEDULER_NAMES, RR);
const annotated = (name: string, ip: string, annotations: Record<string, string>) =>
  service(name, ip, HTTP, {
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [`switchyard.io/${key}`, value]),
    ),
  });

Deno.test("annotations choose among all schedulers, and their flags", () => {
  for (const scheduler of SCHEDULER_NAMES) {
    const { choice, problems } = choose(scheduler);
    assert.deepEqual(choice, { scheduler, flags: scheduler === "mh" ? ["mh-port"] : [] });
    assert.deepEqual(problems, []);
  }
  assert.deepEqual(choose("mh", " mh-fallback ,mh-fallback,").choice.flags, ["mh-fallback"]);
  assert.deepEqual(choose("mh", "").choice.flags, [], "none, where none is wanted");
  assert.deepEqual(choose(undefined, "").choice, RR);
});

Deno.test("a bad annotation is one Service's problem, which gets the default", () => {
  const planner = plannerOf([
    annotated("good", "10.96.0.1", { "ipvs-scheduler": "sed" }),
    annotated("name", "10.96.0.2", { "ipvs-scheduler": "best" }),
    annotated("flag", "10.96.0.3", { "ipvs-scheduler": "sh", "ipvs-scheduler-flags": "mh-port" }),
    annotated("none", "10.96.0.4", { "ipvs-scheduler-flags": "sh-port" }),
  ], { scheduler: "wlc" });
  const schedulers = () =>
    Object.fromEntries(
      [...planner.plan.services.values()].map(({ name, ports }) => [name, ports[0].scheduler]),
    );
  assert.deepEqual(schedulers(), { good: "sed", name: "wlc", flag: "wlc", none: "wlc" });
  const at = "metadata.annotations[switchyard.io/ipvs-scheduler";
  assert.deepEqual(planner.problems.map(formatProblem), [
    `plan: Service ns/flag: ${at}-flags]: "mh-port": scheduler sh takes sh-fallback, sh-port`,
    `plan: Service ns/name: ${at}]: "best": expected one of ` +
    SCHEDULER_NAMES.filter((name) => name !== "random").join(", "),
    `plan: Service ns/none: ${at}-flags]: "sh-port": scheduler wlc takes none`,
  ]);
  const repaired = annotated("name", "10.96.0.2", { "ipvs-scheduler": "lblc" });
  const { updated } = planner.update([{ action: "apply", object: repaired }]);
  assert.deepEqual(updated.map(({ name, ports }) => [name, ports[0].scheduler]), [[
    "name",
    "lblc",
  ]]);
  assert.equal(planner.problems.length, 2);
});

Deno.test("where the kernel chooses at random, annotations don't count", () => {
  const planner = plannerOf([annotated("web", "10.96.0.1", { "ipvs-scheduler": "best" })], {
    scheduler: "random",
    selectableSchedulers: undefined,
  });
  assert.equal(planner.plan.services.get("ns/web")!.ports[0].scheduler, "random");
  assert.deepEqual(planner.problems, []);
});

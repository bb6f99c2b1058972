import assert from "node:assert/strict";
import { diffStates } from "../../../src/dataplane/ipvs/diff.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import { changeText } from "../../../src/dataplane/ipvs/sent.ts";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { plain, slice } from "../../api/real_state.ts";
import { plannerOf } from "../iptables/plans.ts";

const stateOf = (...objects: readonly ClusterObject[]) =>
  render(plannerOf(objects).plan, "IPv4", DEFAULT_IPVS_OPTIONS).state;

Deno.test("a step of ipvs mode in words: what comes, and what goes", () => {
  const one = stateOf(plain("a", "10.0.1.1"), slice("a", ["10.180.0.1", "10.180.0.2"]));
  const two = stateOf(
    plain("a", "10.0.1.1"),
    slice("a", ["10.180.0.2", "10.180.0.3"]),
    plain("b", "10.0.1.2"),
    slice("b", ["10.180.0.4"]),
  );
  const lines = changeText(diffStates(one, two), "*nat\nCOMMIT\n", "IPv4").split("\n");
  assert.deepEqual(lines.slice(-3), ["*nat", "COMMIT", ""]);
  assert.ok(lines.includes("+ address 10.0.1.2"), lines.join("\n"));
  assert.deepEqual(lines.filter((line) => line.includes(" server ")).sort(), [
    "+ server -A -t 10.0.1.2:80 -s rr",
    "+ server -a -t 10.0.1.1:80 -r 10.180.0.3:8080 -m -w 1",
    "+ server -a -t 10.0.1.2:80 -r 10.180.0.4:8080 -m -w 1",
    "- server -a -t 10.0.1.1:80 -r 10.180.0.1:8080 -m -w 1",
  ]);
  assert.ok(lines.some((line) => line.startsWith("+ set KUBE-CLUSTER-IP 10.0.1.2,")));
  assert.equal(changeText(diffStates(two, two), null, "IPv4"), "");
});

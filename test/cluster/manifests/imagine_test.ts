/** What a cluster of manifests would be is what it then is. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { identityOfObject, type Located } from "../../../src/cluster/control/located.ts";
import { ClusterModel } from "../../../src/cluster/manifests/cluster_model.ts";
import { type DecodedFile, decodeFile } from "../../../src/cluster/manifests/decode.ts";
import { byIdentity, changesBetween } from "../../../src/cluster/manifests/diff.ts";
import { readManifestFiles } from "../../../src/cluster/manifests/files.ts";
import { controlPlaneOptions } from "../../../src/cluster/manifests/options.ts";
import { EXAMPLES } from "../../commands/cli.ts";

async function everything(): Promise<Located[]> {
  const files: DecodedFile[] = [];
  for (const file of await readManifestFiles(EXAMPLES)) files.push(await decodeFile(file));
  return files.flatMap(({ objects }) => objects);
}

const fileOf = (objects: readonly Located[]): DecodedFile => ({
  name: "all",
  objects,
  problems: [],
  broken: new Set(),
  unreadable: false,
});

/** Another form of an object, as users edit them. */
function edited({ object, where }: Located, replicas: number): Located {
  const spec = "spec" in object ? object.spec : undefined;
  if (spec === undefined || !("replicas" in spec)) return { object, where };
  return { where, object: { ...object, spec: { ...spec, replicas } } as typeof object };
}

Deno.test("what is imagined of the examples is what comes of them", async () => {
  const all = await everything();
  const some = fc.subarray(all.map((_, i) => i));
  fc.assert(
    fc.property(some, some, some, fc.nat({ max: 6 }), (first, written, deleted, replicas) => {
      const options = controlPlaneOptions({ path: "all", nodeName: "lab-node" });
      const model = new ClusterModel(options);
      const before = first.map((i) => all[i]);
      const former = byIdentity(model.update([fileOf(before)]).objects);
      const given = written.map((i) => edited(all[i], replicas));
      const identity = (one: Located) => identityOfObject(one.object);
      const gone = new Set(deleted.map((i) => identity(all[i])));
      const byName = new Map(before.map((one) => [identity(one), one]));
      for (const one of given) byName.set(identity(one), one);
      for (const name of gone) byName.delete(name);
      const { changes, newPods } = model.imagine(given, gone);
      const { changes: again } = model.imagine(given, gone);
      assert.deepEqual(again, changes, "it was kept");
      for (const one of before) assert.ok(model.has(identity(one)));
      const { objects, pods } = model.update([fileOf([...byName.values()])]);
      assert.deepEqual(changes, changesBetween(former, byIdentity(objects)));
      assert.ok(newPods <= pods.length);
    }),
    { numRuns: 100 },
  );
});

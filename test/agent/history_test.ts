/** The history of a whole agent, over restarts. */

import assert from "node:assert/strict";
import { type RunningAgent, startAgent } from "../../src/agent/assemble.ts";
import { QueryOnlyDataPlane } from "../../src/agent/query_only.ts";
import { ManifestSource } from "../../src/cluster/manifests/source.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { LocalEngine } from "../../src/engine/local.ts";

const service = (name: string, clusterIP: string) => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, resourceVersion: "7" }
spec: { clusterIP: ${clusterIP}, ports: [{ port: 80 }] }
`;

async function start(folder: string): Promise<RunningAgent> {
  const { config } = parseCommandLine(
    [
      `--manifests=${folder}/manifests`,
      `--state-dir=${folder}/state`,
      "--node-ip=192.0.2.1",
      "--healthz-bind-address=",
      "--metrics-bind-address=",
      "--api-bind-address=127.0.0.1:0",
    ],
    "run",
    () => "node-a",
  );
  const running = await startAgent(config, {
    source: new ManifestSource({ path: `${folder}/manifests` }),
    dataPlane: new QueryOnlyDataPlane("userspace", LocalEngine.create()),
    programming: false,
    localAddresses: [],
  });
  await running.agent.ready;
  return running;
}

/** Serves these Services once, and asks. */
async function serving(
  folder: string,
  services: readonly string[],
  // deno-lint-ignore no-explicit-any -- tests look into answers of any shape
  test: (ask: (path: string) => Promise<any>) => Promise<void>,
): Promise<void> {
  await Deno.writeTextFile(`${folder}/manifests/all.yaml`, services.join("---\n"));
  const running = await start(folder);
  const { port } = running.servers.api!.address;
  try {
    await test(async (path) =>
      await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()
    );
  } finally {
    await running.stop();
    await running.done;
  }
}

const explain = (dest: string, asOf: number) =>
  `explain?source=10.0.0.9&dest=${dest}&port=80&protocol=TCP&asOf=${asOf}`;

Deno.test("with --state-dir, what earlier runs served can still be explained", async () => {
  const folder = await Deno.makeTempDir();
  const a = service("a", "10.0.1.1");
  const b = service("b", "10.0.1.2");
  const c = service("c", "10.0.1.3");
  try {
    await Deno.mkdir(`${folder}/manifests`);
    await serving(folder, [a, b], async (ask) => {
      const { items } = await ask("history");
      assert.deepEqual(items.map(({ id, trigger }: Record<string, unknown>) => [id, trigger]), [
        [1, "start"],
      ]);
      assert.deepEqual(items[0].causes[0], {
        action: "apply",
        kind: "Service",
        object: "default/a",
        resourceVersion: "7",
      });
    });
    await serving(folder, [b, c], async (ask) => {
      const { differences } = await ask("history/2");
      assert.deepEqual(
        differences.map(({ service, change }: Record<string, string>) => [service, change]),
        [["default/a", "removed"], ["default/c", "added"]],
      );
      assert.equal((await ask(explain("10.0.1.1", 1))).service, "default/a");
      assert.equal((await ask(explain("10.0.1.1", 2))).verdict, "PASS");
      assert.equal((await ask(explain("10.0.1.3", 1))).verdict, "PASS");
      assert.equal((await ask(explain("10.0.1.3", 2))).service, "default/c");
    });
    await serving(folder, [b, c], async (ask) => {
      const { items } = await ask("history");
      assert.deepEqual(
        items.map(({ id, trigger, servicesTotal }: Record<string, unknown>) => [
          id,
          trigger,
          servicesTotal,
        ]),
        [[3, "start", 0], [2, "start", 2], [1, "start", 2]],
      );
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a state folder that cannot be used is bad usage", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/manifests`);
    await Deno.writeTextFile(`${folder}/state`, "");
    await assert.rejects(start(folder), {
      name: "UsageError",
      message: /^--state-dir: \S+\/state: /,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** The whole agent over real files and real HTTP, with an engine that only echoes. */

import assert from "node:assert/strict";
import { type RunningAgent, startAgent } from "../../src/agent/assemble.ts";
import { QueryOnlyDataPlane } from "../../src/agent/query_only.ts";
import { ManifestSource } from "../../src/cluster/manifests/source.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { EchoEngine } from "../api/fixtures.ts";
import { until } from "../until.ts";

/** A Deployment behind a Service, as a user would write them. */
const manifest = (replicas: number) => `
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  clusterIP: 10.0.1.175
  selector: { app: web }
  ports: [{ port: 80, targetPort: 9376 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: web, ports: [{ containerPort: 9376 }] }]
`;

async function withAgent(
  test: (running: RunningAgent, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/web.yaml`, manifest(2));
  const { config } = parseCommandLine(
    [
      `--manifests=${folder}`,
      "--node-ip=192.0.2.1",
      "--healthz-bind-address=127.0.0.1:0",
      "--metrics-bind-address=127.0.0.1:0",
      "--api-bind-address=127.0.0.1:0",
    ],
    "run",
    () => "node-a",
  );
  const running = await startAgent(config, {
    source: new ManifestSource({ path: folder, watch: true }),
    dataPlane: new QueryOnlyDataPlane("userspace", new EchoEngine()),
    programming: false,
    localAddresses: [],
  });
  try {
    await test(running, folder);
  } finally {
    await running.stop();
    await running.done;
    await Deno.remove(folder, { recursive: true });
  }
}

async function get(running: RunningAgent, path: string) {
  const url = `http://127.0.0.1:${running.servers.api!.address.port}${path}`;
  const response = await fetch(url);
  return { status: response.status, json: await response.json() };
}

async function backends(running: RunningAgent): Promise<number> {
  const { json } = await get(running, "/api/v1/services/default/web");
  return json.frontends[0].backends.length;
}

/** Exchanges the manifest for another, so that nobody reads half of one. */
async function edit(folder: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/new`, text);
  await Deno.rename(`${folder}/new`, `${folder}/web.yaml`);
}

Deno.test("an edit of a manifest is in the answers soon", () =>
  withAgent(async (running, folder) => {
    await running.agent.ready;
    assert.equal(await backends(running), 2);
    await edit(folder, manifest(5));
    await until(async () => await backends(running) === 5, "five backends");
    assert.equal((await get(running, "/healthz")).status, 200);
  }));

Deno.test("an edit that breaks a manifest is reported, and what was there is served on", () =>
  withAgent(async (running, folder) => {
    await running.agent.ready;
    await edit(folder, manifest(5) + "\n---\nkind: [broken");
    await until(() => running.agent.problems.length > 0, "a problem");
    assert.match(running.agent.problems[0].where, /web\.yaml/);
    assert.ok(await backends(running) >= 2);
    await edit(folder, manifest(1));
    await until(async () => await backends(running) === 1, "one backend");
    assert.deepEqual(running.agent.problems, []);
  }));

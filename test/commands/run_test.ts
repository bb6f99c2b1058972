/** The agent as a process of its own, with the real engine; the node is left alone. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Program } from "./processes.ts";

const PROGRAM = fileURLToPath(new URL("./query_only_process.ts", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const FREE_PORTS = ["healthz", "metrics", "api"].map((name) =>
  `--${name}-bind-address=127.0.0.1:0`
);

async function withAgent(
  test: (program: Program, api: string) => Promise<void>,
  ...args: readonly string[]
): Promise<void> {
  const program = new Program([PROGRAM, `--manifests=${EXAMPLES}`, "--output=json", ...args]);
  try {
    const serving = JSON.parse(await program.line());
    assert.equal(serving.event, "serving");
    assert.equal(serving.programming, false);
    await test(program, serving.api);
  } finally {
    await program.kill();
  }
}

Deno.test("the engine answers over HTTP, and a signal ends the agent well", () =>
  withAgent(async (program, api) => {
    const packet = {
      source: "192.168.50.100",
      sourcePort: 40_000,
      dest: "10.0.1.175",
      port: 80,
      protocol: "TCP",
    };
    const response = await fetch(`${api}/api/v1/lookup`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ packets: [packet, { ...packet, port: 81 }] }),
    });
    const { results } = await response.json();
    assert.equal(results[0].verdict, "FORWARD");
    assert.equal(results[0].service, "default/hostnames");
    const service = await (await fetch(`${api}/api/v1/services/default/hostnames`)).json();
    const addresses = service.frontends[0].backends.map((backend: { address: string }) =>
      backend.address
    );
    assert.equal(addresses.length, 3);
    assert.ok(addresses.includes(results[0].backend.address));
    assert.deepEqual(
      results[0].backends.map((backend: { probability: number }) => backend.probability.toFixed(4)),
      ["0.3333", "0.3333", "0.3333"],
    );
    assert.notEqual(results[1].verdict, "FORWARD");
    const previewed = await fetch(`${api}/api/v1/preview`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ delete: [{ kind: "Deployment", name: "hostnames" }] }),
    });
    const { services, problems } = await previewed.json();
    assert.deepEqual([services[0].backends.removed.length, problems], [3, []]);
    const metrics = await (await fetch(`${api}/metrics`)).text();
    assert.match(metrics, /^switchyard_programming 0$/m);
    assert.match(metrics, /^switchyard_connections 0$/m);
    program.signal("SIGTERM");
    assert.equal((await program.end()).code, 0);
    await assert.rejects(fetch(api));
  }, ...FREE_PORTS));

Deno.test("an API address in use ends it with one line", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  const program = new Program([
    PROGRAM,
    `--manifests=${EXAMPLES}`,
    ...FREE_PORTS,
    `--api-bind-address=${address}`,
  ]);
  try {
    const { code, stderr } = await program.end();
    assert.equal(code, 1);
    assert.ok(stderr.includes(`cannot listen on ${address}: the port is in use`), stderr);
  } finally {
    listener.close();
  }
});

Deno.test("manifests that are not there end it", async () => {
  const program = new Program([PROGRAM, "--manifests=/nowhere", ...FREE_PORTS]);
  const { code, stderr } = await program.end();
  assert.equal(code, 1);
  assert.match(stderr, /--manifests: \/nowhere: /);
});

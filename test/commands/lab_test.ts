/** The lab as a user starts it: real packets through everything, from the manifests to the pods. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { requires } from "../requirements.ts";
import { Program } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const FREE_PORTS = ["healthz", "metrics", "api"].map((name) =>
  `--${name}-bind-address=127.0.0.1:0`
);

async function withLab(
  test: (program: Program, state: Record<string, string>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const state = { SWITCHYARD_LAB_STATE: `${folder}/lab.json` };
  const program = new Program([MAIN, "lab", "-v=4", "--output=json", ...FREE_PORTS], state);
  try {
    await test(program, state);
  } finally {
    await program.kill();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  ...requires("the lab answers every question as planned, and leaves nothing", "netns", "tun"),
  fn: () =>
    withLab(async (program, state) => {
      const report = JSON.parse(await program.line());
      assert.equal(report.event, "report");
      assert.equal(report.problems, 0, JSON.stringify(report.rows, null, 2));
      const serving = JSON.parse(await program.line());
      assert.equal(serving.programming, true);
      const url = `${serving.api}/api/v1/services/default/hostnames`;
      const hostnames = await (await fetch(url)).json();
      const counts = hostnames.frontends[0].backends.map((backend: { connections: number }) =>
        backend.connections
      );
      assert.equal(counts.length, 3);
      assert.ok(counts[0] > 0 && counts.every((count: number) => count === counts[0]), counts);

      const list = new Program([MAIN, "lab", "list"], state);
      assert.match(await list.line(), /^node /);
      assert.equal((await list.end()).code, 0);

      program.signal("SIGINT");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
      await assert.rejects(Deno.stat(state.SWITCHYARD_LAB_STATE), Deno.errors.NotFound);
    }),
});

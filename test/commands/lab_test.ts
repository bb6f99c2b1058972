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
  mode: string,
  test: (program: Program, state: Record<string, string>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const state = { SWITCHYARD_LAB_STATE: `${folder}/lab.json` };
  const program = new Program([MAIN, "lab", mode, "-v=4", "--output=json", ...FREE_PORTS], state);
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
    withLab("--proxy-mode=userspace", async (program, state) => {
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

      // As Ctrl-C does through deno task, which passes on what the terminal has sent to both.
      program.signal("SIGINT");
      program.signal("SIGINT");
      program.signal("SIGHUP");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
      await assert.rejects(Deno.stat(state.SWITCHYARD_LAB_STATE), Deno.errors.NotFound);
    }),
});

Deno.test({
  ...requires(
    "the lab of root is in iptables mode where iptables is, and answers as planned",
    "root",
    "netns",
    "tun",
    "iptables",
  ),
  fn: () =>
    withLab("--ip-family=dual", async (program) => {
      const report = JSON.parse(await program.line());
      assert.equal(report.problems, 0, JSON.stringify(report.rows, null, 2));
      assert.ok(report.rows.some(({ refused }: { refused: number }) => refused > 0));
      const serving = JSON.parse(await program.line());
      assert.deepEqual([serving.mode, serving.programming], ["iptables", true]);
      assert.match(program.stderr, / INFO lab: proxy mode iptables\n/);
      const proxyMode = await (await fetch(`${serving.api}/proxyMode`)).text();
      assert.equal(proxyMode, "iptables");
      // The witness answers queries: it knows the same backends.
      const url = `${serving.api}/api/v1/lookup`;
      const packet = { source: "192.168.50.100", dest: "10.0.1.175", port: 80, protocol: "TCP" };
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ packets: [packet] }),
      });
      const { results: [said] } = await response.json();
      assert.equal(said.verdict, "FORWARD");
      assert.equal(said.backends.length, 3);
      program.signal("SIGINT");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
    }),
});

Deno.test({
  ...requires("the lab in nftables mode answers as planned", "root", "netns", "tun"),
  fn: () =>
    withLab("--proxy-mode=nftables", async (program) => {
      const report = JSON.parse(await program.line());
      assert.equal(report.problems, 0, JSON.stringify(report.rows, null, 2));
      const serving = JSON.parse(await program.line());
      assert.deepEqual([serving.mode, serving.programming], ["nftables", true]);
      const { differences, verification } =
        await (await fetch(`${serving.api}/api/v1/diff?verify=true`)).json();
      assert.deepEqual([differences, verification.disputes], [[], []]);
      program.signal("SIGINT");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
    }),
});

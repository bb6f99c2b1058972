/** Commands that ask a running server instead of files. */

import assert from "node:assert/strict";
import { queryApp } from "../../src/api/app.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { explain } from "../../src/commands/explain.ts";
import { SYN } from "../engine/packets.ts";
import { captureOf } from "../replay/captures.ts";
import { RealState, slice, web } from "../api/real_state.ts";
import { type Run, runProgram, taskPermissions } from "./cli.ts";

const TOKEN = "a-token-of-some-length";

async function ask(command: string, args: readonly string[], input = ""): Promise<Run> {
  return await runProgram(await taskPermissions(command), [command, ...args], input);
}

/** Serves a proxy, and a folder with its token and a capture in it. */
async function withServer(
  where: (folder: string) => { readonly path: string } | { readonly port: number },
  test: (server: string, folder: string, state: RealState) => Promise<void>,
): Promise<void> {
  // The agent's task may make its socket there, and whoever uses a socket has to be allowed to write.
  const folder = await Deno.makeTempDir({ dir: "/tmp" });
  const state = new RealState("iptables", true);
  await state.apply(web());
  await state.apply([slice("web", ["10.180.0.9"])]);
  state.node = { differences: () => Promise.resolve([]) };
  const app = queryApp(state, new Metrics(["IPv4"], "1"), { version: "1", token: TOKEN });
  const at = where(folder);
  const options = { onListen() {} };
  const handler = (request: Request) => app.fetch(request);
  const server = "path" in at
    ? Deno.serve({ ...options, path: at.path }, handler)
    : Deno.serve({ ...options, hostname: "127.0.0.1", port: 0 }, handler);
  try {
    await Deno.writeTextFile(`${folder}/token`, `${TOKEN}\n`);
    const packet = { source: "10.180.0.77", sourcePort: 4000, dest: "10.0.1.175", port: 80 };
    await Deno.writeFile(`${folder}/a.pcap`, captureOf({ ...packet, flags: SYN }));
    const url = "path" in at
      ? `unix:${at.path}`
      : `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}`;
    await test(url, folder, state);
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

const FLOW = ["10.180.0.77", "10.0.1.175:80/TCP"];

for (
  const [what, where] of [
    ["TCP", () => ({ port: 0 })],
    ["a Unix socket", (folder: string) => ({ path: `${folder}/api.sock` })],
  ] as const
) {
  Deno.test({
    name: `the asking commands ask a server, by ${what}`,
    async fn() {
      await withServer(where, async (server, folder) => {
        const flags = [`--server=${server}`, `--api-token-file=${folder}/token`];
        const explained = await ask("explain", [...flags, "--output=json", ...FLOW]);
        assert.equal(explained.code, 0, explained.stderr);
        const { verdict, backends, answeredBy } = JSON.parse(explained.stdout);
        assert.deepEqual([verdict, backends.length, answeredBy], ["FORWARD", 1, "rules"]);
        const text = await ask("explain", [...flags, ...FLOW]);
        assert.match(text.stdout, /^ {2}FORWARD default\/web:http$/m);
        const before = await ask("explain", [...flags, "--as-of=1", "--output=json", ...FLOW]);
        assert.equal(JSON.parse(before.stdout).backends.length, 3);
        const flows = JSON.stringify([
          { name: "one", source: FLOW[0], dest: "10.0.1.175", port: 80, protocol: "TCP" },
          { name: "two", source: FLOW[0], dest: "10.0.1.9", port: 80, protocol: "TCP" },
        ]);
        const several = await ask("explain", [...flags, "--flows=-", "--output=json"], flows);
        assert.deepEqual(
          JSON.parse(several.stdout).map(({ name, verdict }: Record<string, string>) => [
            name,
            verdict,
          ]),
          [["one", "FORWARD"], ["two", "PASS"]],
        );
        const difference = await ask("diff", [...flags, "--verify"]);
        assert.equal(difference.code, 0, difference.stderr + difference.stdout);
        assert.match(
          difference.stdout,
          /^iptables: the node is as it should be\nengine and rules /,
        );
        const gone = await ask("preview", [...flags, "--delete=svc/web", "--output=json"]);
        assert.equal(gone.code, 1, gone.stderr);
        const [{ service, change }] = JSON.parse(gone.stdout).services;
        assert.deepEqual([service, change], ["default/web", "removed"]);
        const now = await ask("explain", [...flags, "--rules=node", ...FLOW]);
        assert.match(now.stderr, /^switchyard: rules: this node is not programmed\n$/);
        const workload = ["--service=default/web", "--scheduler=rr", "--output=json"];
        const simulated = await ask("simulate", [...flags, ...workload]);
        assert.equal(simulated.code, 0, simulated.stderr);
        assert.equal(JSON.parse(simulated.stdout).outcomes[0].backends.length, 1);
        const replayed = await ask("replay", [`${folder}/a.pcap`, ...flags, "--output=json"]);
        assert.equal(replayed.code, 0, replayed.stderr);
        assert.equal(JSON.parse(replayed.stdout).connections[0].backend.address, "10.180.0.9");
      });
    },
  });
}

Deno.test("a socket that the task may not use is told in one line", async () => {
  const { code, stderr } = await ask("explain", ["--server=unix:/nowhere/api.sock", ...FLOW]);
  assert.deepEqual(
    [code, stderr],
    [2, "switchyard: --server unix:/nowhere/api.sock: this process may not connect there\n"],
  );
});

Deno.test("what a server refuses is told in its words", async () => {
  await withServer(() => ({ port: 0 }), async (server, folder, state) => {
    const none = await ask("explain", [`--server=${server}`, ...FLOW]);
    assert.deepEqual([none.code, none.stderr], [
      1,
      "switchyard: expected the bearer token of this API\n",
    ]);
    const flags = [`--server=${server}`, `--api-token-file=${folder}/token`];
    const missing = await ask("explain", [...flags, "--as-of=9", ...FLOW]);
    assert.deepEqual([missing.code, missing.stderr], [
      2,
      "switchyard: there is no entry 9 of the history: 1 to 2 are kept\n",
    ]);
    const broken = await ask("replay", ["-", ...flags], "no capture");
    assert.deepEqual([broken.code, broken.stderr], [
      2,
      "switchyard: standard input: the capture is broken: at offset 0: expected a pcap or pcapng " +
      "file, found 6e 6f 20 63\n",
    ]);
    const nobody = await ask("diff", ["--server=http://127.0.0.1:9"]);
    assert.equal(nobody.code, 2);
    assert.match(nobody.stderr, /^switchyard: http:\/\/127\.0\.0\.1:9\/: nobody answers: .*\n$/);
    state.node = {
      differences: () =>
        Promise.resolve([
          { where: "IPv4 nat X", problem: "missing", found: [], expected: [] },
        ]),
    };
    const differs = await ask("diff", flags);
    assert.deepEqual([differs.code, differs.stdout], [1, "IPv4 nat X: missing\n"]);
  });
});

Deno.test("a server, or files: not both", async () => {
  const both = ["--server=http://127.0.0.1:9", "--manifests=x", ...FLOW];
  await assert.rejects(explain(both), /expected neither --manifests nor --iptables-save with it$/);
  const past = ["--manifests=x", "--as-of=3", ...FLOW];
  await assert.rejects(explain(past), /--as-of "3": expected --server too, which has the history$/);
});

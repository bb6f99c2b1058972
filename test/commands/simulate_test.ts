/** `simulate` as its task runs it. */

import assert from "node:assert/strict";
import { simulate as command } from "../../src/commands/simulate.ts";
import { withQueryApi } from "../api/http.ts";
import { RealState, web } from "../api/real_state.ts";
import { EXAMPLES, runProgram, taskPermissions } from "./cli.ts";

const permissions = await taskPermissions("simulate");

const simulate = (args: readonly string[], input = "") =>
  runProgram(permissions, ["simulate", ...args], input);

Deno.test("simulate prints a table, figures or a chart", async () => {
  const input = "seconds: 10\nevents: [{atSeconds: 5, backend: 1, weight: null}]\n";
  const [text, json, svg] = await Promise.all([
    simulate(["-", "--scheduler", "lc"], input),
    simulate(["-", "--output", "json"], input),
    simulate(["--output", "svg", "--seed", "7", "--nodes", "2"]),
  ]);
  assert.deepEqual([text.code, text.stderr], [0, ""]);
  assert.match(text.stdout, /^lc +\d\.\d\d×/m);
  assert.match(text.stdout, /^at 5 s, 10\.244\.0\.2:8080: gone\n {2}lc {2}\d+ connections broken/m);
  assert.deepEqual(
    JSON.parse(json.stdout).outcomes.map(({ scheduler }: { scheduler: string }) => scheduler),
    ["rr", "lc", "mh"],
  );
  assert.match(svg.stdout, /^<svg .*<\/svg>\n$/s);
});

Deno.test("simulate has a help of its own", async () => {
  const [flag, asked] = await Promise.all([
    simulate(["--help"]),
    runProgram(permissions, ["help", "simulate"]),
  ]);
  assert.match(flag.stdout, /^Usage: simulate /);
  assert.deepEqual(asked, flag);
  // What is no flag is refused with its name; so every one that the help names is one.
  const names = [...flag.stdout.matchAll(/^ {2}(--[a-z-]+) /gm)].map(([, name]) => name);
  assert.ok(names.length >= 9, flag.stdout);
  for (const name of names) {
    await assert.rejects(command([`${name}=`, "a", "b"]), /^UsageError: unexpected argument "b"/);
  }
  await assert.rejects(
    command(["--node=2"]),
    /^UsageError: unknown flag --node: did you mean --nod/,
  );
  await assert.rejects(
    command(["--unknown=", "a", "b"]),
    /^UsageError: unknown flag --unknown: expected one of those that "simulate --help" lists$/,
  );
});

Deno.test("simulate asks a running server, which knows Services", async () => {
  const state = new RealState("userspace");
  await state.apply(web());
  await withQueryApi(state, async (_, base) => {
    const asked = ["-", "--server", base, "--scheduler", "rr"];
    const [good, bad, svg] = [
      await simulate([...asked, "--output", "json"], "service: default/web"),
      await simulate(asked, "nodes: 0"),
      await simulate([...asked, "--output", "svg"], "seconds: 1"),
    ];
    assert.equal(good.code, 0, good.stderr);
    const { outcomes } = JSON.parse(good.stdout);
    assert.equal(
      outcomes[0].backends.length,
      state.plan().services.get("default/web")!.ports[0].cluster.length,
    );
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /^switchyard: standard input: nodes: expected a whole number/);
    assert.match(svg.stdout, /^<svg /);
  });
});

Deno.test("simulate takes the backends of a Service from manifests", async () => {
  const run = await simulate(
    ["-", "--manifests", EXAMPLES, "--output", "json"],
    "service: default/hostnames\nschedulers: [rr]\n",
  );
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.equal(JSON.parse(run.stdout).outcomes[0].backends.length, 3);
  const flags = ["--service", "default/hostnames", "--scheduler", "rr"];
  const same = await simulate([...flags, "--manifests", EXAMPLES, "--output", "json"]);
  assert.deepEqual(JSON.parse(same.stdout), JSON.parse(run.stdout));
});

Deno.test("simulate refuses what it cannot do in one line", async () => {
  const refusals: readonly [readonly string[], string, RegExp][] = [
    [["--output", "xml"], "", /^switchyard: --output "xml": expected text, json or svg\n$/],
    [
      ["--server", "localhost:1"],
      "",
      /^switchyard: --server "localhost:1": expected http:\/\/HOST:PORT,/,
    ],
    [["-"], "{", /^switchyard: standard input: [^\n]+\n$/],
    [["-"], "[]", /^switchyard: standard input: expected an object\n$/],
    [["-"], "seconds: -1", /^switchyard: standard input: seconds: expected a number from/],
    [["-"], "service: a/b", /^switchyard: standard input: service: expected --manifests or --s/],
    [
      ["-", "--manifests", EXAMPLES],
      "service: a/b",
      /^switchyard: standard input: service: "a\/b"/,
    ],
    [["--manifests", "x", "--server", "http://x"], "", /^switchyard: expected --manifests or --s/],
    [["-", "--manifests", "-"], "", /^switchyard: --manifests and the workload: only one/],
    [["a", "b"], "", /^switchyard: unexpected argument "b"/],
    [["/nonexistent"], "", /^switchyard: simulate: \/nonexistent: no such file\n$/],
    [["--scheduler", "best"], "", /^switchyard: schedulers\[0\]: expected one of rr, /],
  ];
  await Promise.all(refusals.map(async ([args, input, expected]) => {
    const run = await simulate(args, input);
    assert.equal(run.code, 2, run.stderr);
    assert.match(run.stderr, expected);
    assert.equal(run.stdout, "");
  }));
});

import assert from "node:assert/strict";
import { configureSync, resetSync } from "@logtape/logtape";
import { LeavingTimes } from "../../../src/dataplane/ipvs/leaving_times.ts";

const BOOT = "one boot";
const NOW = 1_000_000;
const A = "10.96.0.1:80/TCP 10.244.0.1:8080";
const B = "10.96.0.1:80/TCP 10.244.0.2:8080";
const C = "[fd00:96::1]:80/TCP [fd00:244::1]:8080";

/** Gives a test a path in a folder of its own, and what is logged. */
async function withFile(
  test: (path: string, log: string[]) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const log: string[] = [];
  configureSync({
    reset: true,
    sinks: { memory: ({ level, message }) => log.push(`${level} ${message.join("")}`) },
    loggers: [
      { category: "switchyard", sinks: ["memory"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
  });
  try {
    await test(`${folder}/state/leaving.json`, log);
  } finally {
    resetSync();
    await Deno.remove(folder, { recursive: true });
  }
}

const open = (path: string, boot = BOOT) => LeavingTimes.open(path, () => NOW, boot);

Deno.test("times are there after a restart, of all families", () =>
  withFile((path, log) => {
    const times = open(path);
    assert.deepEqual(log.splice(0), [
      `info servers that leave begin to do so anew: ${path}: no such file`,
    ]);
    times.keep([new Map([[A, 1], [B, NOW]]), new Map([[C, 3]])]);
    assert.deepEqual(open(path).found, new Map([[A, 1], [B, NOW], [C, 3]]));
    times.keep([new Map([[B, NOW]]), new Map()]);
    assert.deepEqual(open(path).found, new Map([[B, NOW]]));
    assert.equal(Deno.statSync(path).mode! & 0o077, 0, "nobody else may read it");
    assert.deepEqual(log, []);
  }));

Deno.test("where nothing leaves and nothing changes, nothing is written", () =>
  withFile((path) => {
    open(path).keep([new Map(), new Map()]);
    assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
    const times = open(path);
    times.keep([new Map([[A, 1]])]);
    Deno.removeSync(path);
    times.keep([new Map([[A, 1]])]);
    assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
  }));

Deno.test("times of the future count for nothing", () =>
  withFile((path, log) => {
    open(path).keep([new Map([[A, NOW + 1], [B, NOW - 1]])]);
    log.length = 0;
    const times = open(path);
    assert.deepEqual(times.found, new Map([[B, NOW - 1]]));
    assert.match(log.join("\n"), /^info .*leaving\.json: 1 of 2 times are in the future$/);
  }));

Deno.test("a file of another boot, or that is broken, is one line in the log and replaced", () =>
  withFile((path, log) => {
    open(path).keep([new Map([[A, 1]])]);
    const good = Deno.readTextFileSync(path);
    const broken = [
      "",
      "{",
      "null",
      "[]",
      good.slice(0, -3),
      good.replace(BOOT, "another boot"),
      good.replace(":1}", ":-1}"),
      good.replace(":1}", ':"1"}'),
      good.replace(":1}", ":1e400}"),
    ];
    for (const text of broken) {
      Deno.writeTextFileSync(path, text);
      log.length = 0;
      const times = open(path);
      assert.equal(times.found.size, 0, text);
      assert.equal(log.length, 1, text);
      assert.match(log[0], /^info [^\n]+: it is (broken|of another boot)$/);
      times.keep([new Map([[A, 1]])]);
      assert.equal(Deno.readTextFileSync(path), good);
    }
  }));

Deno.test("where nothing can be read or written, that is said once, and no more than that", () =>
  withFile((path, log) => {
    // A folder in the file's place.
    Deno.mkdirSync(path, { recursive: true });
    const times = open(path);
    assert.equal(times.found.size, 0);
    times.keep([new Map([[A, 1]])]);
    times.keep([new Map([[B, 1]])]);
    assert.deepEqual(log.map((line) => line.split(" ")[0]), ["info", "warning"]);
    assert.match(log[1], /^warning a restart will begin the deadlines of leaving servers anew: /);
    assert.ok(log.every((line) => !line.includes("\n")));
    Deno.removeSync(path);
    times.keep([new Map([[B, 1]])]);
    assert.deepEqual(open(path).found, new Map([[B, 1]]), "it is tried again");
  }));

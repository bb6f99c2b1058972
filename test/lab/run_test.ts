import assert from "node:assert/strict";
import { payloadSha256 } from "../../src/lab/payload.ts";
import type { Outcome } from "../../src/lab/probe.ts";
import type { ReportRow } from "../../src/lab/report.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { hostNetwork, networkNamespacesOf, processesOfLab } from "./host.ts";
import {
  type LabProcess,
  MAIN,
  runCommand,
  scriptCommand,
  UNPRIVILEGED,
  withProcess,
} from "./processes.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url).pathname;

/** The program as `npm start` runs it, but with a copy of the examples and ports of its own. */
interface Running extends LabProcess {
  readonly examples: string;
  /** "http://127.0.0.1:PORT" */
  readonly api: string;
  /** What came of asking every frontend at the start. */
  readonly rows: readonly ReportRow[];
}

async function withProgram(
  fn: (running: Running) => Promise<void>,
  wrapper: readonly string[] = [],
): Promise<void> {
  const examples = Deno.makeTempDirSync({ prefix: "switchyard-examples-" });
  try {
    for (const { name } of Deno.readDirSync(EXAMPLES)) {
      Deno.copyFileSync(EXAMPLES + name, `${examples}/${name}`);
    }
    const command = scriptCommand(
      MAIN,
      "lab",
      `--manifests=${examples}`,
      "--proxy-mode=userspace",
      "--output=json",
      "--healthz-bind-address=",
      "--metrics-bind-address=",
      "--api-bind-address=127.0.0.1:0",
    );
    await withProcess([...wrapper, ...command], async (lab) => {
      const { rows } = JSON.parse((await lab.nextLine())!);
      const { mode, api } = JSON.parse((await lab.nextLine())!);
      assert.equal(mode, "userspace");
      await fn({ ...lab, examples, api, rows });
    });
  } finally {
    Deno.removeSync(examples, { recursive: true });
  }
}

/** What {@link ./dial.ts} prints when it runs in a namespace of the lab. */
async function dial<T>(lab: LabProcess, from: string, ...args: unknown[]): Promise<T> {
  const command = scriptCommand("dial.ts", ...args.map(String));
  const { code, stdout, stderr } = await runCommand(
    lab.stateFile,
    scriptCommand(MAIN, "lab", "exec", from, "--", ...command),
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

function counts(outcomes: readonly Outcome[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const outcome of outcomes) {
    const what = outcome.kind === "answer" ? outcome.pod : outcome.kind;
    found[what] = (found[what] ?? 0) + 1;
  }
  return found;
}

/** The row for a client and frontend. */
function rowFor({ rows }: Running, address: string, port: number, from = "client"): ReportRow {
  const row = rows.find((each) =>
    each.address === address && each.port === port && each.from === from
  );
  assert.ok(row !== undefined, `no row for ${address}:${port} from ${from}`);
  return row;
}

/** How often each of the answering pods answered. */
const shares = ({ answers }: ReportRow) => Object.values(answers);

async function setReplicas(running: Running, name: string, replicas: number): Promise<void> {
  const path = `${running.examples}/${name}.yaml`;
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.replace(/replicas: \d+/, `replicas: ${replicas}`));
}

/** The pods behind a Service, as the API says. */
async function podsOf(running: Running, service: string): Promise<string[]> {
  const response = await fetch(`${running.api}/api/v1/services/default/${service}`);
  const { frontends } = await response.json();
  return frontends[0].backends.map(({ pod }: { pod: string }) => pod.split("/")[1]).sort();
}

async function establishedOn({ api }: Running): Promise<number> {
  const response = await fetch(`${api}/api/v1/conntrack?state=ESTABLISHED`);
  return (await response.json()).items.length;
}

/** The first value that is right. */
async function eventually<T>(get: () => Promise<T>, isRight: (value: T) => boolean): Promise<T> {
  let value = await get();
  await until(async () => isRight(value) || isRight(value = await get()), isRight.toString());
  return value;
}

Deno.test({
  ...requires("the program serves the examples with real packets", "netns", "tun"),
  fn: () =>
    withProgram(async (running) => {
      assert.deepEqual(running.rows.filter(({ problem }) => problem !== null), []);
      assert.deepEqual(shares(rowFor(running, "10.0.1.175", 80)), [2, 2, 2]);
      assert.deepEqual(shares(rowFor(running, "192.168.50.10", 30007)), [3, 3]);
      assert.deepEqual(shares(rowFor(running, "203.0.113.80", 80)), [3, 3]);
      assert.equal(rowFor(running, "203.0.113.80", 80, "stranger").silent, 1);
      const { asked, refused } = rowFor(running, "10.96.0.99", 80);
      assert.deepEqual([asked, refused], [2, 2]);
      const whoami = running.rows.find(({ service }) => service.startsWith("default/whoami"));
      assert.ok(whoami !== undefined);
      assert.deepEqual(shares(whoami), [6], "session affinity");

      for (const from of ["client", "node", "web-0"]) {
        const outcomes: Outcome[] = await dial(
          running,
          from,
          "probe",
          "10.0.1.175",
          80,
          "TCP",
          9,
          1,
        );
        assert.deepEqual(Object.values(counts(outcomes)), [3, 3, 3], from);
      }
    }),
});

Deno.test({
  ...requires("edits are followed and break no connection", "netns", "tun"),
  fn: () =>
    withProgram(async (running) => {
      const first = await podsOf(running, "hostnames");
      assert.equal(first.length, 3);
      const held = dial<string[]>(running, "client", "hold", "10.0.1.175", 80, 3000, 21);
      await eventually(() => establishedOn(running), (connections) => connections > 0);
      for (const replicas of [5, 3]) {
        await setReplicas(running, "hostnames", replicas);
        const pods = await eventually(
          () => podsOf(running, "hostnames"),
          (names) => names.length === replicas,
        );
        const outcomes: Outcome[] = await dial(
          running,
          "client",
          "probe",
          "10.0.1.175",
          80,
          "TCP",
          2 * replicas,
          1,
        );
        assert.deepEqual(counts(outcomes), Object.fromEntries(pods.map((pod) => [pod, 2])));
      }
      assert.deepEqual(await podsOf(running, "hostnames"), first);
      const names = await held;
      assert.ok(names.length > 20, `${names.length} answers`);
      assert.equal(new Set(names).size, 1);

      await setReplicas(running, "no-endpoints", 1);
      await eventually(
        () => podsOf(running, "no-endpoints"),
        (pods) => pods.length === 1,
      );
      const outcomes: Outcome[] = await dial(
        running,
        "client",
        "probe",
        "10.96.0.99",
        80,
        "TCP",
        2,
        1,
      );
      assert.deepEqual(Object.values(counts(outcomes)), [2]);
    }),
});

Deno.test({
  ...requires("100 MB through one connection, 500 connections at once", "netns", "tun"),
  fn: () =>
    withProgram(async (running) => {
      const bytes = 100_000_000;
      assert.deepEqual(
        await dial(running, "client", "download", "http://10.0.1.175", bytes),
        { bytes, sha256: payloadSha256(bytes) },
      );
      const outcomes: Outcome[] = await dial(
        running,
        "client",
        "probe",
        "10.0.1.175",
        80,
        "TCP",
        500,
        500,
      );
      const answered = counts(outcomes);
      assert.deepEqual(Object.keys(answered).sort(), await podsOf(running, "hostnames"));
      assert.equal(Object.values(answered).reduce((sum, count) => sum + count, 0), 500);
    }),
});

Deno.test({
  ...requires("Ctrl-C ends the program and leaves nothing", "netns", "tun"),
  fn: async () => {
    const before = hostNetwork();
    await withProgram(async ({ child, stateFile }) => {
      assert.deepEqual(hostNetwork(), before);
      child.kill("SIGINT");
      assert.equal((await child.status).code, 0);
      assert.throws(() => Deno.statSync(stateFile), Deno.errors.NotFound);
    });
    assert.deepEqual(hostNetwork(), before);
  },
});

Deno.test({
  ...requires(
    "not root: the same in a user namespace; killed, it leaves nothing",
    "root",
    "tun",
    "unshare",
    "nsenter",
    "find",
  ),
  fn: async () => {
    const before = hostNetwork();
    await withProgram(async (running) => {
      assert.deepEqual(running.rows.filter(({ problem }) => problem !== null), []);
      const outcomes: Outcome[] = await dial(running, "cl", "probe", "10.0.1.175", 80, "TCP", 6, 1);
      assert.deepEqual(Object.values(counts(outcomes)), [2, 2, 2]);
      const host = networkNamespacesOf(Deno.pid);
      const own = networkNamespacesOf(running.pid).filter((name) => !host.includes(name));
      assert.ok(own.length > 10, `${own.length} namespaces`);
      assert.ok(processesOfLab(running.stateFile).length > 0);
      running.child.kill("SIGKILL");
      await running.child.status;
      await until(
        () => processesOfLab(running.stateFile).length === 0,
        "the processes of the killed lab are gone",
      );
    }, UNPRIVILEGED);
    assert.deepEqual(hostNetwork(), before);
  },
});

import assert from "node:assert/strict";
import { replay as replayCommand } from "../../src/commands/replay.ts";
import type { ReplayReport } from "../../src/replay/report.ts";
import { UsageError } from "../../src/config/usage.ts";
import { ACK, SYN } from "../engine/packets.ts";
import { answer, captureOf, type Sent } from "../replay/captures.ts";
import { EXAMPLES, type Run, runProgram, taskPermissions } from "./cli.ts";

const MANIFESTS = [`--manifests=${EXAMPLES}`, "--hostname-override=lab-node"];
const CLIENT = "192.168.50.100";

/** With the task's own permissions, so that these are seen to be enough. */
async function replay(args: readonly string[], input = ""): Promise<Run> {
  return await runProgram(await taskPermissions("replay"), ["replay", ...args], input);
}

async function withCapture(test: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const syn = (sourcePort: number, dest: string): Sent => ({
    source: CLIENT,
    sourcePort,
    dest,
    port: 80,
    flags: SYN,
  });
  try {
    const first = syn(40_000, "10.0.1.175");
    await Deno.writeFile(
      `${folder}/a.pcap`,
      captureOf(
        first,
        answer(first, { flags: SYN | ACK }),
        syn(40_001, "10.0.1.175"),
        syn(40_002, "10.96.0.99"),
        syn(40_003, "192.0.2.1"),
      ),
    );
    await test(`${folder}/a.pcap`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a capture is replayed with manifests: as text and as JSON", async () => {
  await withCapture(async (path) => {
    const text = await replay([path, ...MANIFESTS]);
    assert.deepEqual([text.code, text.stderr], [0, ""]);
    const lines = text.stdout.split("\n");
    assert.equal(lines[0], "pcap: 5 packets, 270 bytes, 3 connections");
    assert.match(
      text.stdout,
      /\n192\.168\.50\.100:40000 -> 10\.0\.1\.175:80\/TCP ClusterIP default\/hostnames: 10\.244\.\d\.\d:9376, masqueraded\n {4}policy Cluster, scheduler rr at \d of 3 backends; 1 packet, 1 answer\n/,
    );
    assert.match(text.stdout, /10\.96\.0\.99:80\/TCP ClusterIP default\/no-endpoints: REJECT\n/);
    assert.match(text.stdout, /\n 50\.0% default\/hostnames 10\.244\.\d\.\d:9376: 1 connection, /);
    assert.match(text.stdout, /\nmatched nothing: 1 packet\n {4}1 to 192\.0\.2\.1:80\/TCP: no /);
    const json = await replay([path, ...MANIFESTS, "--output=json", "--limit=1"]);
    const report = JSON.parse(json.stdout);
    assert.deepEqual([report.connections.length, report.connectionsTotal], [1, 3]);
  });
});

Deno.test("schedulers and modes are those of the flags", async () => {
  await withCapture(async (path) => {
    const { stdout } = await replay([
      path,
      ...MANIFESTS,
      "--ipvs-scheduler=mh",
      "--output=json",
    ]);
    assert.match(JSON.parse(stdout).connections[0].reason, /scheduler mh over 3 backends$/);
    const iptables = await replay([path, ...MANIFESTS, "--proxy-mode=iptables", "--output=json"]);
    const [first] = JSON.parse(iptables.stdout).connections;
    assert.match(first.reason, /scheduler random over 3 backends$/);
  });
});

Deno.test("backends are chosen for a node that nothing tells the addresses of", async () => {
  await withCapture(async (path) => {
    const unknown = [`--manifests=${EXAMPLES}`, "--hostname-override=elsewhere"];
    const masquerading = ["--cluster-cidr=10.244.0.0/16", "--output=json"];
    for (const mode of ["userspace", "iptables"]) {
      const { code, stdout } = await replay([
        path,
        ...unknown,
        ...masquerading,
        `--proxy-mode=${mode}`,
      ]);
      assert.equal(code, 0);
      const { connections } = JSON.parse(stdout) as ReplayReport;
      const found = connections.map(({ verdict, masqueraded }) => [verdict, masqueraded]);
      assert.deepEqual(found, [["FORWARD", true], ["FORWARD", true], ["REJECT", false]], mode);
    }
  });
});

Deno.test("what is wrong with manifests is told, and the rest replayed", async () => {
  await withCapture(async (path) => {
    const broken = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 0}]}";
    const { code, stdout, stderr } = await replay([path, "--manifests=-"], broken);
    assert.equal(code, 2);
    assert.match(stdout, /^pcap: 5 packets, 270 bytes, 0 connections\n/);
    assert.match(stderr, /^standard input:\d+: Service default\/x: spec\.ports\[0\]\.port: /);
  });
});

for (
  const [args, expected, input] of [
    [["x"], /^expected either --manifests or --server$/],
    [[...MANIFESTS], /^expected a file, or - for standard input$/],
    [["x", "y", ...MANIFESTS], /unexpected argument "y": expected one file$/],
    [["-", "--manifests=-"], /only one of them can be standard input$/],
    [["/nowhere", ...MANIFESTS], /^replay: \/nowhere: no such file$/],
    [["-", ...MANIFESTS], /standard input: the capture is broken: at offset 0: expected a/, "no"],
    [["-", "--limit=0", ...MANIFESTS], /--limit "0": expected a whole number from 1 to 10000$/],
  ] as [string[], RegExp, string?][]
) {
  Deno.test(`bad usage of replay: ${args.join(" ")} ${input ?? ""}`, async () => {
    const message = input === undefined ? await refusal(args) : await refusalOf(args, input);
    assert.match(message, expected);
  });
}

/** What the command itself says, without a process of its own. */
async function refusal(args: readonly string[]): Promise<string> {
  const error = await replayCommand(args).then(() => null, (error) => error);
  assert.ok(error instanceof UsageError, String(error));
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
}

/** What the program says. */
async function refusalOf(args: readonly string[], input: string): Promise<string> {
  const { code, stdout, stderr } = await replay(args, input);
  assert.deepEqual([code, stdout], [2, ""], stderr);
  assert.equal(stderr.split("\n").length, 2, stderr);
  return stderr.trimEnd().replace("switchyard: ", "");
}

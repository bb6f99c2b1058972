import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { EXAMPLES } from "./cli.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** Runs the real program, without the right to do anything to the node. */
async function cli(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-read", "--allow-env", "--allow-sys", MAIN, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("version and help", async () => {
  const version = await cli("version");
  assert.match(version.stdout, /^switchyard [0-9]+\.[0-9]+\.[0-9]+\n$/);
  assert.equal((await cli("--version")).stdout, version.stdout);
  assert.equal((await cli("run", "--version")).stdout, version.stdout);
  const help = await cli("help");
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^ {2}run {2,}the node agent/m);
  assert.equal((await cli()).stdout, help.stdout);
  const run = await cli("run", "--help");
  assert.match(run.stdout, /^ {2}--proxy-mode MODE/m);
  assert.equal((await cli("help", "run")).stdout, run.stdout);
  assert.match((await cli("lab", "-h")).stdout, /lab exec NAME -- COMMAND/);
});

/** Runs the real program, whose reader of one stream goes before it has anything to say there. */
async function unread(stream: "stdout" | "stderr", input: string, ...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-read", "--allow-env", "--allow-sys", MAIN, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child[stream].cancel();
  await new Blob([input]).stream().pipeTo(child.stdin);
  const other = stream === "stdout" ? child.stderr : child.stdout;
  const said = await new Response(other).text();
  return { code: (await child.status).code, said };
}

Deno.test("a reader that goes, as head does, ends a command quietly, as SIGPIPE would", async () => {
  const manifests = await Deno.readTextFile(`${EXAMPLES}/hostnames.yaml`);
  for (const args of [["render"], ["preview", "--delete=deployment/hostnames"]]) {
    const { code, said } = await unread("stdout", manifests, ...args, "--manifests=-");
    assert.deepEqual([code, said], [141, ""], args.join(" "));
  }
});

Deno.test("complaints that nobody reads change nothing else", async () => {
  const { code, said } = await unread("stderr", "kind: Service", "render", "--manifests=-");
  assert.equal(code, 2);
  assert.match(said, /^-A KUBE-POSTROUTING /m);
});

const BAD: [args: string[], message: string | RegExp][] = [
  [["rnu"], 'switchyard: unknown command "rnu": did you mean run?'],
  [["help", "nothing"], /^switchyard: unknown command "nothing": expected one of run, /],
  [["version", "please"], /^switchyard: unexpected argument "please"/],
  [["run", "extra"], 'switchyard: unexpected argument "extra": expected only flags'],
  [["run", "--", "extra"], 'switchyard: unexpected argument "extra": expected only flags'],
  [["--proxy-mode=x"], /^switchyard: --proxy-mode "x": expected one of iptables, /],
  [["run", "--manifest=x"], "switchyard: unknown flag --manifest: did you mean --manifests?"],
  [["run", "--kubeconfig=x"], "switchyard: --kubeconfig x: there is no such file"],
  [
    ["run", "--kubeconfig=x", "--manifests=y"],
    "switchyard: --manifests and --kubeconfig: expected one source of cluster state",
  ],
  [
    ["run", "--manifests=x", "--proxy-mode=ipvs", "--ipvs-scheduler=random"],
    /--ipvs-scheduler "random": the kernel has none/,
  ],
  [["lab", "exce"], 'switchyard: unknown argument "exce" of lab: did you mean exec?'],
  [["lab", "exec", "client"], /^switchyard: lab exec: expected lab exec NAME -- COMMAND/],
  [["lab", "exec", "client", "curl", "--", "x"], /^switchyard: unexpected argument "curl"/],
  [["lab", "list", "x"], /^switchyard: unexpected argument "x"/],
];

for (const [args, message] of BAD) {
  Deno.test(`bad usage is one line and status 2: ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await cli(...args);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    const lines = stderr.split("\n");
    assert.equal(lines.length, 2, stderr);
    if (typeof message === "string") assert.equal(lines[0], message);
    else assert.match(lines[0], message);
  });
}

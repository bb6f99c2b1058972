import assert from "node:assert/strict";
import { isRunning } from "../../src/linux/process.ts";
import { readState, STATE_VARIABLE } from "../../src/lab/state.ts";
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

const LAB = scriptCommand("lab_process.ts");

/** Two pods and clients in another process, while a function runs. */
function withLab(
  fn: (lab: LabProcess) => Promise<void>,
  wrapper: readonly string[] = [],
): Promise<void> {
  return withProcess([...wrapper, ...LAB], async (lab) => {
    assert.equal(await lab.nextLine(), "ready");
    await fn(lab);
  });
}

/** `lab exec NAME -- COMMAND`, or `lab list` without. */
function labCommand(stateFile: string, name?: string, ...command: readonly string[]) {
  const args = name === undefined ? ["list"] : ["exec", name, "--", ...command];
  return runCommand(stateFile, scriptCommand(MAIN, "lab", ...args));
}

/** Asks a pod for its name; prints "refused" instead when nobody listens. */
const ASK = [
  Deno.execPath(),
  "eval",
  `try { console.log((await (await fetch("http://10.244.3.1")).text()).trim()) }
   catch { console.log("nobody") }`,
];

Deno.test({
  ...requires("lab exec runs a command in a namespace and gives its status", "netns", "tun"),
  fn: () =>
    withLab(async ({ stateFile }) => {
      for (const name of ["client", "node", "default/web-2", "web-2", "str"]) {
        const { code, stdout, stderr } = await labCommand(stateFile, name, ...ASK);
        assert.deepEqual([code, stdout.trim()], [0, "web-1"], `${name}: ${stderr}`);
      }
      assert.equal((await labCommand(stateFile, "node", "sh", "-c", "exit 7")).code, 7);
      assert.equal((await labCommand(stateFile, "node", "sh", "-c", "kill -TERM $$")).code, 143);
    }),
});

Deno.test({
  ...requires("lab list names the namespaces and their addresses", "netns", "tun"),
  fn: () =>
    withLab(async ({ stateFile }) => {
      const { code, stdout } = await labCommand(stateFile);
      assert.equal(code, 0);
      assert.deepEqual(stdout.trimEnd().split("\n").map((line) => line.split(/ +/, 2)), [
        ["node", "192.168.50.10"],
        ["client", "192.168.50.100"],
        ["stranger", "198.51.100.66"],
        ["default/web-1", "10.244.3.1"],
        ["default/web-2", "10.244.3.2"],
      ]);
      const json = await runCommand(
        stateFile,
        scriptCommand(MAIN, "lab", "list", "--output=json"),
      );
      const [node, ...others] = JSON.parse(json.stdout);
      assert.equal(node.name, "node");
      assert.ok(node.addresses.includes("192.168.50.10"));
      assert.equal(others.length, 4);
    }),
});

Deno.test({
  ...requires("lab exec says in one line what is wrong", "netns", "tun"),
  fn: () =>
    withLab(async ({ stateFile }) => {
      const cases: [string, string[], RegExp][] = [
        [
          stateFile,
          ["nobody", "true"],
          /^switchyard: nothing in the lab is called "nobody"; there are: node, /,
        ],
        [stateFile, ["web", "true"], /^switchyard: "web" could be default\/web-1, default\/web-2$/],
        [stateFile, ["node", "no-such-program"], /^switchyard: no program called no-such-program$/],
        [`${stateFile}.none`, ["node", "true"], /^switchyard: no lab is running; start one with/],
      ];
      for (const [file, args, message] of cases) {
        const { code, stdout, stderr } = await labCommand(file, ...args);
        assert.deepEqual([code, stdout], [1, ""]);
        assert.match(stderr.trimEnd(), message);
      }
    }),
});

Deno.test({
  ...requires("SIGINT ends the lab and leaves nothing", "netns", "tun"),
  fn: async () => {
    const before = hostNetwork();
    await withLab(async ({ child, pid, stateFile }) => {
      const state = readState(stateFile);
      assert.equal(state?.pid, pid);
      child.kill("SIGINT");
      const { code } = await child.status;
      assert.equal(code, 0);
      assert.throws(() => Deno.statSync(stateFile), Deno.errors.NotFound);
      assert.ok(!isRunning(state));
    });
    assert.deepEqual(hostNetwork(), before);
  },
});

Deno.test({
  ...requires("after SIGKILL nothing remains, and the next lab starts", "netns", "tun", "find"),
  fn: async () => {
    const before = hostNetwork();
    await withLab(async ({ child, pid, stateFile }) => {
      const host = networkNamespacesOf(Deno.pid);
      const own = networkNamespacesOf(pid).filter((namespace) => !host.includes(namespace));
      assert.equal(own.length, 5, "node, client, stranger and two pods");
      assert.ok(processesOfLab(stateFile).length > 0);
      const state = readState(stateFile);
      child.kill("SIGKILL");
      await child.status;
      await until(
        () => processesOfLab(stateFile).length === 0,
        "the processes of the killed lab are gone",
      );
      assert.ok(state !== null && !isRunning(state));
      assert.ok(Deno.statSync(stateFile).isFile, "a killed lab cannot remove its file");
      assert.equal(readState(stateFile), null);
      assert.match(
        (await labCommand(stateFile, "node", "true")).stderr,
        /^switchyard: no lab is running/,
      );
    });
    await withLab(({ pid, stateFile }) => {
      assert.equal(readState(stateFile)?.pid, pid);
      return Promise.resolve();
    });
    assert.deepEqual(hostNetwork(), before);
  },
});

Deno.test({
  ...requires("not root: the lab runs in a user namespace", "root", "tun", "unshare", "nsenter"),
  fn: () =>
    withLab(async ({ child, pid, stateFile }) => {
      const state = readState(stateFile);
      assert.deepEqual([state?.pid, state?.userNamespace], [pid, true], "the same process");
      const { code, stdout, stderr } = await labCommand(stateFile, "client", ...ASK);
      assert.deepEqual([code, stdout.trim()], [0, "web-1"], stderr);
      child.kill("SIGINT");
      assert.equal((await child.status).code, 0);
    }, UNPRIVILEGED),
});

Deno.test({
  ...requires("not root and no user namespace: the reason is one line", "root", "tun", "unshare"),
  fn: async () => {
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      // A user without a name in its user namespace may not make another.
      args: ["--user", "--", ...LAB],
      stdin: "null",
    }).output();
    assert.equal(code, 3, new TextDecoder().decode(stderr));
    assert.match(
      new TextDecoder().decode(stdout),
      /^no CAP_NET_ADMIN and no CAP_SYS_ADMIN; in a user namespace: unshare: .+\n$/,
    );
  },
});

Deno.test({
  ...requires("a lab that cannot write its state file works, and says so", "netns", "tun"),
  fn: () =>
    withProcess(["env", `${STATE_VARIABLE}=/nowhere/lab.json`, ...LAB], async (lab) => {
      assert.match((await lab.nextLine())!, /^lab exec will not find this lab: .*\/nowhere\//);
      assert.equal(await lab.nextLine(), "ready");
      lab.child.kill("SIGINT");
      assert.equal((await lab.child.status).code, 0);
    }),
});

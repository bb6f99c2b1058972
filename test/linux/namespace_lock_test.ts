import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { type LockHolder, lockNamespace } from "../../src/linux/namespace_lock.ts";
import { requires } from "../requirements.ts";

const MODULE = fileURLToPath(new URL("../../src/linux/namespace_lock.ts", import.meta.url));

const uniqueName = () => `switchyard-test/${crypto.randomUUID()}`;

function held(name: string): Disposable {
  const lock = lockNamespace(name);
  assert.ok(Symbol.dispose in lock, `held by ${JSON.stringify(lock)}`);
  return lock;
}

function holder(name: string): LockHolder {
  const result = lockNamespace(name);
  assert.ok("pid" in result, "it was free");
  return result;
}

Deno.test("a lock is held until it is disposed of, and says who holds it", () => {
  const name = uniqueName();
  const own = { pid: Deno.pid, uid: Deno.uid() };
  {
    using _lock = held(name);
    for (let i = 0; i < 10; i++) assert.deepEqual(holder(name), own);
    held(`${name}/other`)[Symbol.dispose]();
  }
  held(name)[Symbol.dispose]();
});

Deno.test("a lock goes with the process that holds it, however that ends", async () => {
  const name = uniqueName();
  const code = `import { lockNamespace } from ${JSON.stringify(MODULE)};
    lockNamespace(${JSON.stringify(name)});
    console.log("held");
    setTimeout(() => {}, 1e9);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-ffi", "--ext=ts", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  try {
    await new Response(code).body!.pipeTo(child.stdin);
    const reader = child.stdout.getReader();
    await reader.read();
    assert.equal(holder(name).pid, child.pid);
    child.kill("SIGKILL");
    await reader.cancel();
  } finally {
    await child.status;
  }
  held(name)[Symbol.dispose]();
});

Deno.test({
  ...requires("each network namespace has its own locks", "netns"),
  fn() {
    const name = uniqueName();
    using namespace = NetworkNamespace.create();
    using _here = held(name);
    using _there = namespace.run(() => held(name));
    assert.equal(namespace.run(() => holder(name)).pid, Deno.pid);
  },
});

Deno.test("names that no socket can have are refused", () => {
  assert.throws(() => lockNamespace(""), TypeError);
  assert.throws(() => lockNamespace("x".repeat(108)), TypeError);
  held("x".repeat(100) + crypto.randomUUID().slice(0, 7))[Symbol.dispose]();
});

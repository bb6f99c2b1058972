import assert from "node:assert/strict";
import { isRunning, ownArguments, ownIdentity } from "../../src/linux/process.ts";
import { readState, removeState, writeState } from "../../src/lab/state.ts";

const NAMESPACES = { node: { fd: 17, addresses: ["192.168.50.10"] } };

function withFile(fn: (path: string) => void): void {
  const directory = Deno.makeTempDirSync({ prefix: "switchyard-state-" });
  try {
    fn(`${directory}/lab.json`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("a running lab's state is found, and removed by itself only", () =>
  withFile((path) => {
    assert.equal(readState(path), null);
    writeState(NAMESPACES, false, path);
    assert.deepEqual(readState(path), {
      ...ownIdentity(),
      userNamespace: false,
      namespaces: NAMESPACES,
    });
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    writeState({}, true, path);
    assert.deepEqual(readState(path)?.namespaces, {});
    removeState(path);
    assert.equal(readState(path), null);
    assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
  }));

Deno.test("the state of a lab that is gone counts for nothing and is replaced", () =>
  withFile((path) => {
    const { pid, startTime } = ownIdentity();
    const gone = [
      // The id is in use again, by a process that started at another time.
      { pid, startTime: startTime - 1, userNamespace: false, namespaces: NAMESPACES },
      // No process has this id: it is above the kernel's limit.
      { pid: 2 ** 22 + 1, startTime, userNamespace: false, namespaces: NAMESPACES },
      { pid: "1" },
      "neither",
    ];
    for (const text of [...gone.map((state) => JSON.stringify(state)), "{", ""]) {
      Deno.writeTextFileSync(path, text);
      assert.equal(readState(path), null, text);
      removeState(path);
      assert.equal(Deno.readTextFileSync(path), text, "another lab's file was removed");
    }
    writeState(NAMESPACES, false, path);
    assert.equal(readState(path)?.pid, pid);
  }));

Deno.test("a link in the state file's place is refused", () =>
  withFile((path) => {
    writeState(NAMESPACES, false, `${path}.real`);
    Deno.symlinkSync(`${path}.real`, path);
    assert.throws(() => readState(path), /is not a file of this user/);
  }));

Deno.test("a process is known by its id and start time", async () => {
  assert.ok(isRunning(ownIdentity()));
  assert.ok(ownArguments().length > 1);
  const child = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" }).spawn();
  assert.ok(!isRunning({ pid: child.pid, startTime: ownIdentity().startTime - 1 }));
  await child.status;
  assert.ok(!isRunning({ pid: child.pid, startTime: ownIdentity().startTime }));
});

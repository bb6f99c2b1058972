import assert from "node:assert/strict";
import { archive } from "./cpio.ts";
import { VirtualMachine } from "./machine.ts";

const machine = await VirtualMachine.prepare();
const reason = machine instanceof VirtualMachine ? "" : ` (skipped: ${machine.message})`;
const guest = (name: string) => new URL(`${name}_guest.ts`, import.meta.url);

/** What machines of this process left behind. */
function remains(): string[] {
  return Array.from(Deno.readDirSync(Deno.env.get("TMPDIR") ?? "/tmp"), ({ name }) => name)
    .filter((name) => name.startsWith(`switchyard-vm.${Deno.pid}.`));
}

Deno.test({
  name: `virtual machine: the host learns how each test ended${reason}`,
  ignore: reason !== "",
  async fn() {
    const { kernel, results } = await (machine as VirtualMachine).run([guest("machine")]);
    assert.deepEqual(results.map(({ name, ignored }) => [name, ignored]), [
      ["passes", false],
      ["is left out", true],
      ["fails", false],
      ["returns what it saw", false],
    ]);
    assert.deepEqual(results.map(({ error }) => error !== null), [false, false, true, false]);
    assert.match(results[2].error ?? "", /^RangeError: as it must\n/);
    assert.deepEqual(results[3].value, { links: 1, uid: 0, release: kernel });
    assert.notEqual(kernel, Deno.osRelease());
    assert.throws(
      () => Deno.statSync(new URL("written-by-the-guest", import.meta.url)),
      Deno.errors.NotFound,
    );
  },
});

Deno.test({
  name: `virtual machine: one that does not end is ended, and nothing of it is left${reason}`,
  ignore: reason !== "",
  async fn() {
    await assert.rejects(
      (machine as VirtualMachine).run([guest("hanging")], { seconds: 5 }),
      /^Error: the virtual machine did not end within 5 s/,
    );
    assert.deepEqual(remains(), []);
  },
});

Deno.test({
  name: `virtual machine: a module that cannot be loaded is told${reason}`,
  ignore: reason !== "",
  async fn() {
    await assert.rejects(
      (machine as VirtualMachine).run([guest("missing")]),
      /ended without results; it printed:[^]*Module not found/,
    );
  },
});

Deno.test("virtual machine: archives are cpio's", () => {
  const bytes = archive([
    { path: "dev", kind: "folder" },
    { path: "dev/console", kind: "character device", major: 5, minor: 1 },
    { path: "init", kind: "program", content: new TextEncoder().encode("#!/bin/sh\n") },
    { path: "sh", kind: "link", target: "busybox" },
  ]);
  assert.equal(bytes.length % 4, 0);
  const text = new TextDecoder().decode(bytes);
  assert.equal(text.split("070701").length, 1 + 5);
  assert.match(text, /^070701000000010{4}41ED[^]*TRAILER!!!\0*$/i);
  // A file's header: its size is the seventh field, the length of its name the twelfth.
  const header = text.slice(text.lastIndexOf("070701", text.indexOf("init\0")));
  const fields = header.slice(6, 6 + 13 * 8).match(/.{8}/g)?.map((field) => parseInt(field, 16));
  assert.deepEqual([fields?.[1], fields?.[6], fields?.[11]], [0o100755, 10, 5]);
});

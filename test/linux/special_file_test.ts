import assert from "node:assert/strict";
import { SystemError } from "../../src/linux/libc.ts";
import { countEntries, readSpecialFile, writeSpecialFile } from "../../src/linux/special_file.ts";

Deno.test("a special file is read whole, however long; one that is not there is null", () => {
  const [name] = readSpecialFile("/proc/self/status")!.split("\n");
  assert.match(name, /^Name:\t\w/);
  const mappings = readSpecialFile("/proc/self/smaps")!;
  assert.ok(mappings.length > 50_000, "longer than any buffer");
  assert.match(mappings, /^[0-9a-f]+-[0-9a-f]+ [^]*\nVmFlags: .*\n$/);
  assert.equal(readSpecialFile("/proc/self/no-such-file"), null);
  assert.throws(() => readSpecialFile("/proc/self"), SystemError);
});

Deno.test("a special file takes what fits it, and says what does not", () => {
  const path = "/proc/self/comm";
  const before = readSpecialFile(path)!.trimEnd();
  writeSpecialFile(path, "special");
  assert.equal(readSpecialFile(path), "special\n");
  writeSpecialFile(path, before);
  assert.throws(
    () => writeSpecialFile("/proc/self/oom_score_adj", "much\n"),
    /^SystemError: write "much" to \/proc\/self\/oom_score_adj: Invalid argument \(EINVAL\)$/,
  );
});

Deno.test("a directory's entries are counted", () => {
  const directory = Deno.makeTempDirSync();
  try {
    assert.equal(countEntries(directory), 0);
    for (let i = 0; i < 300; i++) Deno.writeTextFileSync(`${directory}/${i}`, "");
    assert.equal(countEntries(directory), 300);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  assert.throws(() => countEntries(directory), /^SystemError: open directory .* \(ENOENT\)$/);
});

import assert from "node:assert/strict";
import { MemoryFile } from "../../src/linux/memory_file.ts";

Deno.test("another process reads what was written, until the file is closed", async () => {
  const text = "ä line\n".repeat(20_000);
  const read = async (path: string) =>
    await new Deno.Command("cat", { args: [path], stderr: "null" }).output();
  let path: string;
  {
    using file = MemoryFile.create("test");
    file.write(text);
    file.write("the end\n");
    path = file.path;
    const { stdout, success } = await read(path);
    assert.ok(success);
    assert.equal(new TextDecoder().decode(stdout), `${text}the end\n`);
  }
  assert.equal((await read(path)).success, false);
});

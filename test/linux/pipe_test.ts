import assert from "node:assert/strict";
import { PIPE_ROOM, widenStdin } from "../../src/linux/pipe.ts";
import { requires } from "../requirements.ts";

Deno.test({
  ...requires("a child's standard input takes as much as was made room for", "sleep"),
  async fn() {
    const child = new Deno.Command("sleep", { args: ["60"], stdin: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    try {
      assert.equal(widenStdin(child.pid), PIPE_ROOM);
      // It reads nothing.
      await writer.write(new Uint8Array(PIPE_ROOM));
    } finally {
      child.kill("SIGKILL");
      await child.status;
      await writer.close().catch(() => {});
    }
  },
});

Deno.test({
  ...requires("there is no room to be made for a child that has ended", "true"),
  async fn() {
    const child = new Deno.Command("true", { stdin: "piped" }).spawn();
    await child.status;
    assert.equal(widenStdin(child.pid), null);
    await child.stdin.close().catch(() => {});
  },
});

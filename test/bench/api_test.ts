import assert from "node:assert/strict";

Deno.test("the benchmark of the API says in one line that wrk is missing", async () => {
  const nothing = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", "bench/main.ts", "api", "--output", "json"],
      env: { PATH: nothing },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(code, 1);
    assert.equal(text(stdout), "");
    assert.match(text(stderr), /^bench api: not measured: the program wrk is not there, .+\n$/);
  } finally {
    await Deno.remove(nothing);
  }
});

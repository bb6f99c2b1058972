import assert from "node:assert/strict";
import { MAX_FILE_BYTES, readManifestFiles } from "../../../src/cluster/manifests/files.ts";

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a folder's manifests are read in order of name, subfolders and other files not", () =>
  inFolder(async (folder) => {
    for (const name of ["b.yml", "a.yaml", "c.json", "d.txt", ".e.yaml", "f.yaml~"]) {
      await Deno.writeTextFile(`${folder}/${name}`, name);
    }
    await Deno.mkdir(`${folder}/g.yaml`);
    await Deno.symlink(`${folder}/nowhere`, `${folder}/h.yaml`);
    const expected = ["a.yaml", "b.yml", "c.json"]
      .map((name) => ({ name: `${folder}/${name}`, text: name }));
    assert.deepEqual(await readManifestFiles(folder), expected);
    assert.deepEqual(await readManifestFiles(`${folder}/`), expected);
    assert.deepEqual(await readManifestFiles(`${folder}/d.txt`), [
      { name: `${folder}/d.txt`, text: "d.txt" },
    ]);
  }));

Deno.test("a file that is too large or no text is reported, others are read", () =>
  inFolder(async (folder) => {
    await Deno.writeFile(`${folder}/a.yaml`, new Uint8Array(MAX_FILE_BYTES + 1).fill(0x20));
    await Deno.writeFile(`${folder}/b.yaml`, Uint8Array.of(0xff, 0xfe));
    await Deno.writeFile(`${folder}/c.yaml`, new Uint8Array(MAX_FILE_BYTES).fill(0x20));
    const [a, b, c] = await readManifestFiles(folder);
    assert.deepEqual(a, {
      name: `${folder}/a.yaml`,
      error: "too large, expected at most 10485760 bytes (10 MiB)",
    });
    assert.deepEqual(b, { name: `${folder}/b.yaml`, error: "not text, expected UTF-8" });
    assert("text" in c && c.text.length === MAX_FILE_BYTES);
  }));

Deno.test("an endless file ends at the limit", async () => {
  assert.deepEqual(await readManifestFiles("/dev/zero"), [
    { name: "/dev/zero", error: "too large, expected at most 10485760 bytes (10 MiB)" },
  ]);
});

Deno.test("a path that is not there is an error of one line", () =>
  inFolder(async (folder) => {
    await assert.rejects(readManifestFiles(`${folder}/x`), {
      message: `${folder}/x: no such file or folder`,
    });
  }));

Deno.test("standard input is read", async () => {
  const module = new URL("../../../src/cluster/manifests/files.ts", import.meta.url).href;
  const script = `import { readManifestFiles } from "${module}";
    Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(await readManifestFiles("-"))));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("kind: é\n"));
  await writer.close();
  const { stdout } = await child.output();
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), [
    { name: "standard input", text: "kind: é\n" },
  ]);
});

import assert from "node:assert/strict";
import { removeFile, replaceFile } from "../src/replace_file.ts";

function inFolder(test: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    test(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const names = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name);

Deno.test("a file is replaced whole, whatever a killed process left", () =>
  inFolder((folder) => {
    const path = `${folder}/state`;
    Deno.writeTextFileSync(`${path}.${Deno.pid}`, "half");
    replaceFile(path, "żółw");
    assert.equal(Deno.readTextFileSync(path), "żółw");
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    replaceFile(path, Uint8Array.of(1, 2));
    assert.deepEqual(Deno.readFileSync(path), Uint8Array.of(1, 2));
    assert.deepEqual(names(folder), ["state"]);
  }));

Deno.test("a link is not followed, and what fails leaves nothing behind", () =>
  inFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/other`, "mine");
    Deno.symlinkSync(`${folder}/other`, `${folder}/state`);
    replaceFile(`${folder}/state`, "new");
    assert.equal(Deno.readTextFileSync(`${folder}/other`), "mine");
    Deno.mkdirSync(`${folder}/taken`);
    assert.throws(() => replaceFile(`${folder}/taken`, "new"));
    assert.deepEqual(names(folder).sort(), ["other", "state", "taken"]);
    assert.throws(() => replaceFile(`${folder}/nowhere/state`, "new"), Deno.errors.NotFound);
    removeFile(`${folder}/nothing`);
  }));

/** Bodies that come at the same time, and the memory that they share. */

import assert from "node:assert/strict";
import { type BodyLimits, readBody, Room } from "../../src/api/body.ts";
import { pass } from "../until.ts";

/** A request whose body comes as it is written. */
function slowRequest() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const request = new Request("http://x/", { method: "POST", body: readable });
  return { request, writer: writable.getWriter() };
}

/** The length of a body that comes at once. */
async function read(length: number, limits: BodyLimits): Promise<number> {
  const request = new Request("http://x/", { method: "POST", body: new Uint8Array(length) });
  return (await readBody(request, limits)).length;
}

const limitsOf = (room: number) => ({ maxBytes: 100_000, maxMs: 60_000, room: new Room(room) });

Deno.test("long bodies have no more memory together than there is room for", async () => {
  const limits = limitsOf(150_000);
  const { request, writer } = slowRequest();
  const slow = readBody(request, limits);
  await writer.write(new Uint8Array(100_000));
  await pass(1);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(read(80_000, limits), { status: 503, code: "too_many_bodies" });
  }
  assert.equal(await read(50_000, limits), 50_000);
  await writer.close();
  assert.equal((await slow).length, 100_000);
  assert.equal(await read(80_000, limits), 80_000);
});

Deno.test("a body that is refused gives its memory back, and short ones need none", async () => {
  const limits = limitsOf(100_000);
  for (let i = 0; i < 3; i++) {
    const { request, writer } = slowRequest();
    const refused = assert.rejects(readBody(request, limits), { status: 413 });
    await writer.write(new Uint8Array(90_000));
    await writer.write(new Uint8Array(20_000)).catch(() => {});
    await refused;
  }
  assert.equal(await read(100_000, limits), 100_000);
  assert.equal(await read(1000, limitsOf(0)), 1000);
});

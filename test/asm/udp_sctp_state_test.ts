/** UDP and SCTP tracking. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { parsePacket } from "../engine/packets.ts";
import { buildSctp, CHUNK, sctpInit } from "../engine/sctp_packets.ts";

const CLIENT = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };
const BACKEND = { source: "10.60.0.2", sourcePort: 8080, dest: "10.50.0.2", port: 5000 };

Deno.test("UDP: question and answer are no stream, going on for two seconds is", () => {
  const bench = new Bench([{ protocol: "UDP", backends: ["10.60.0.2:8080"] }]);
  const ask = () => bench.send({ ...CLIENT, protocol: "UDP" });
  const answer = () => bench.send({ ...BACKEND, protocol: "UDP" });
  const now = () => [bench.connection().assured, bench.connection().expiresInMs];
  ask();
  bench.nowMs += 20_000;
  ask();
  assert.deepEqual(now(), [false, 30_000]);
  answer();
  assert.deepEqual(now(), [false, 30_000]);
  ask();
  assert.deepEqual(now(), [true, 120_000]);

  const other = new Bench([{ protocol: "UDP", backends: ["10.60.0.2:8080"] }]);
  other.send({ ...CLIENT, protocol: "UDP" });
  other.send({ ...BACKEND, protocol: "UDP" });
  other.nowMs += 2000;
  other.send({ ...CLIENT, protocol: "UDP" });
  assert.equal(other.connection().assured, false);
  other.nowMs += 1;
  other.send({ ...CLIENT, protocol: "UDP" });
  assert.equal(other.connection().assured, true);
});

Deno.test("UDP: timeouts can be configured", () => {
  const bench = new Bench([{ protocol: "UDP", backends: ["10.60.0.2:8080"] }], {
    udpTimeouts: { single: 5, stream: 7 },
  });
  const expiry = () => bench.connection().expiresInMs;
  bench.send({ ...CLIENT, protocol: "UDP" });
  assert.equal(expiry(), 5000);
  bench.send({ ...BACKEND, protocol: "UDP" });
  bench.nowMs += 2001;
  bench.send({ ...CLIENT, protocol: "UDP" });
  assert.equal(expiry(), 7000);
});

/** Verification tags: what the client is to be addressed with, and the backend. */
const CLIENT_TAG = 0x01020304;
const BACKEND_TAG = 0x0a0b0c0d;

function sctp(bench: Bench, side: "o" | "r", chunk: number, word = 0, tag?: number): string {
  const ends = side === "o" ? CLIENT : BACKEND;
  const standard = chunk === CHUNK.INIT ? 0 : side === "o" ? BACKEND_TAG : CLIENT_TAG;
  return bench.sendBytes(buildSctp(ends, tag ?? standard, chunk, word)).verdict;
}

function associate(): Bench {
  const bench = new Bench([{ protocol: "SCTP", backends: ["10.60.0.2:8080"] }]);
  assert.equal(sctp(bench, "o", CHUNK.INIT, CLIENT_TAG), "forward: new");
  assert.equal(bench.connection().state, "CLOSED");
  sctp(bench, "r", CHUNK.INIT_ACK, BACKEND_TAG);
  assert.equal(bench.connection().state, "COOKIE_WAIT");
  sctp(bench, "o", CHUNK.COOKIE_ECHO);
  assert.equal(bench.connection().state, "COOKIE_ECHOED");
  sctp(bench, "r", CHUNK.COOKIE_ACK);
  return bench;
}

Deno.test("SCTP: an association from INIT to the end", () => {
  const bench = associate();
  assert.deepEqual(
    [bench.connection().state, bench.connection().assured, bench.connection().expiresInMs],
    ["ESTABLISHED", true, 210_000],
  );
  assert.equal(sctp(bench, "o", CHUNK.DATA), "forward: tracked");
  sctp(bench, "o", CHUNK.SHUTDOWN);
  assert.equal(bench.connection().state, "SHUTDOWN_SENT");
  sctp(bench, "r", CHUNK.SHUTDOWN_ACK);
  assert.equal(bench.connection().state, "SHUTDOWN_ACK_SENT");
  sctp(bench, "o", CHUNK.SHUTDOWN_COMPLETE);
  assert.equal(bench.connection().state, "CLOSED");
});

Deno.test("SCTP: wrong tags and impossible beginnings are invalid", () => {
  const bench = associate();
  assert.equal(sctp(bench, "o", CHUNK.DATA, 0, 7), "drop: sctp_invalid");
  assert.equal(sctp(bench, "r", CHUNK.ABORT, 0, 7), "drop: sctp_invalid");
  assert.equal(bench.connection().state, "ESTABLISHED");
  assert.equal(sctp(bench, "r", CHUNK.ABORT), "forward: tracked");
  assert.equal(bench.connection().state, "CLOSED");
  for (const chunk of [CHUNK.ABORT, CHUNK.COOKIE_ACK, CHUNK.SHUTDOWN_COMPLETE]) {
    const fresh = new Bench([{ protocol: "SCTP", backends: ["10.60.0.2:8080"] }]);
    assert.equal(sctp(fresh, "o", chunk), "drop: sctp_invalid");
  }
});

Deno.test("SCTP: the CRC is made anew when a port changes, and kept when none does", () => {
  for (const backend of ["10.60.0.2:80", "10.60.0.2:8080"]) {
    const bench = new Bench([{ protocol: "SCTP", backends: [backend] }]);
    const sent = sctpInit(CLIENT);
    const got = bench.sendBytes(sent);
    assert.equal(got.route, `10.50.0.2:5000 > ${backend}`);
    const same = backend.endsWith(":80");
    const crc = (packet: Uint8Array) => parsePacket(packet).transport.slice(8, 12).join();
    assert.equal(crc(got.bytes) === crc(sent), same);
  }
});

/**
 * When a connection counts as active, as nq shows it: the first server is picked again as soon as it
 * has no active connection.
 */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, FIN, RST, SYN } from "../engine/packets.ts";
import { buildSctp, CHUNK, sctpInit } from "../engine/sctp_packets.ts";

const CLIENT = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };
const SERVER = { source: "10.60.0.2", sourcePort: 8080, dest: "10.50.0.2", port: 5000 };

function bench(protocol: "TCP" | "SCTP"): Bench {
  return new Bench([{ protocol, scheduler: "nq", backends: ["10.60.0.2:8080", "10.60.0.3:8080"] }]);
}

/** Whether the connection to the first server is active, by what another one would get. */
function isActive({ engine }: Bench, protocol: "TCP" | "SCTP"): boolean {
  const [{ backend }] = engine.lookup([{ ...CLIENT, sourcePort: 6000, protocol }]);
  return backend?.address === "10.60.0.3";
}

/** Segments by "c" the client or "s" the server, and whether the connection is active after each. */
const STORIES: Readonly<Record<string, readonly (readonly ["c" | "s", number, boolean])[]>> = {
  "the client ends it": [
    ["c", SYN, true],
    ["s", SYN | ACK, true],
    ["c", ACK, true],
    ["c", FIN | ACK, false],
    ["s", ACK, false],
    ["s", FIN | ACK, false],
    ["c", ACK, false],
  ],
  "the server ends it": [
    ["c", SYN, true],
    ["s", SYN | ACK, true],
    ["c", ACK, true],
    ["s", FIN | ACK, false],
    ["c", FIN | ACK, false],
  ],
  "the server refuses it": [["c", SYN, true], ["s", RST | ACK, false]],
  "the client resets it": [
    ["c", SYN, true],
    ["s", SYN | ACK, true],
    ["c", ACK, true],
    ["c", RST | ACK, false],
  ],
};

for (const [name, segments] of Object.entries(STORIES)) {
  Deno.test(`a TCP connection: ${name}`, () => {
    const engine = bench("TCP");
    const next = { c: 1000, s: 9000 };
    for (const [who, flags, active] of segments) {
      const { verdict } = engine.send({
        ...(who === "c" ? CLIENT : SERVER),
        flags,
        seq: next[who],
        ack: (flags & ACK) === 0 ? 0 : who === "c" ? next.s : next.c,
      });
      assert.match(verdict, /^forward/);
      if ((flags & (SYN | FIN)) !== 0) next[who]++;
      assert.equal(isActive(engine, "TCP"), active, `after ${who} ${flags}`);
    }
  });
}

Deno.test("an SCTP association is active while it is established", () => {
  const engine = bench("SCTP");
  const [clientTag, serverTag] = [0x01020304, 0x0a0b0c0d];
  engine.sendBytes(sctpInit(CLIENT));
  assert.equal(isActive(engine, "SCTP"), false);
  engine.sendBytes(buildSctp(SERVER, clientTag, CHUNK.INIT_ACK, serverTag));
  engine.sendBytes(buildSctp(CLIENT, serverTag, CHUNK.COOKIE_ECHO));
  assert.equal(isActive(engine, "SCTP"), false);
  engine.sendBytes(buildSctp(SERVER, clientTag, CHUNK.COOKIE_ACK));
  assert.equal(isActive(engine, "SCTP"), true);
  engine.sendBytes(buildSctp(CLIENT, serverTag, CHUNK.SHUTDOWN));
  assert.equal(isActive(engine, "SCTP"), false);
});

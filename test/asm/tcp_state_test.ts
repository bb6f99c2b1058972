/** TCP tracking: every transition of nf_conntrack's table, its timeouts and its exceptions. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, FIN, PSH, RST, SYN, URG } from "../engine/packets.ts";

const CLIENT = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };
const BACKEND = { source: "10.60.0.2", sourcePort: 8080, dest: "10.50.0.2", port: 5000 };

type Side = "o" | "r";

/** A segment: who sends it, flags and numbers. Client bytes begin at 1000, the backend's at 5000. */
interface Segment {
  readonly side: Side;
  readonly flags: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  readonly payload?: Uint8Array;
}

const syn: Segment = { side: "o", flags: SYN, seq: 1000 };
const synAck: Segment = { side: "r", flags: SYN | ACK, seq: 5000, ack: 1001 };
const ack: Segment = { side: "o", flags: ACK, seq: 1001, ack: 5001 };
const finO: Segment = { side: "o", flags: FIN | ACK, seq: 1001, ack: 5001 };
const ackR: Segment = { side: "r", flags: ACK, seq: 5001, ack: 1002 };
const finR: Segment = { side: "r", flags: FIN | ACK, seq: 5001, ack: 1002 };
const lastAck: Segment = { side: "o", flags: ACK, seq: 1002, ack: 5002 };
const rstO: Segment = { side: "o", flags: RST, seq: 1001 };
const synR: Segment = { side: "r", flags: SYN, seq: 5000 };
const handshake = [syn, synAck, ack];

/** The shortest way into each state. */
const PATHS: Readonly<Record<string, readonly Segment[]>> = {
  SYN_SENT: [syn],
  SYN_RECV: [syn, synAck],
  ESTABLISHED: handshake,
  FIN_WAIT: [...handshake, finO],
  CLOSE_WAIT: [...handshake, finO, ackR],
  LAST_ACK: [...handshake, finO, ackR, finR],
  TIME_WAIT: [...handshake, finO, ackR, finR, lastAck],
  CLOSE: [...handshake, rstO],
  SYN_SENT2: [syn, synR],
};

const TIMEOUTS: Readonly<Record<string, number>> = {
  SYN_SENT: 120,
  SYN_RECV: 60,
  ESTABLISHED: 432000,
  FIN_WAIT: 120,
  CLOSE_WAIT: 60,
  LAST_ACK: 30,
  TIME_WAIT: 120,
  CLOSE: 10,
  SYN_SENT2: 120,
};

const SHORT: Readonly<Record<string, string>> = {
  SS: "SYN_SENT",
  SR: "SYN_RECV",
  ES: "ESTABLISHED",
  FW: "FIN_WAIT",
  CW: "CLOSE_WAIT",
  LA: "LAST_ACK",
  TW: "TIME_WAIT",
  CL: "CLOSE",
  S2: "SYN_SENT2",
};

/** Columns SS SR ES FW CW LA TW CL S2; iv: invalid, ig: state kept, del: entry deleted, new: reopened. */
const TABLE: Readonly<Record<Side, Readonly<Record<string, string>>>> = {
  o: {
    syn: "SS ig ig ig ig ig new new S2",
    synack: "iv SR iv iv iv iv iv iv SR",
    fin: "iv FW FW LA LA LA TW CL iv",
    ack: "iv ES ES CW CW TW TW CL iv",
    rst: "del CL CL CL CL CL CL CL CL",
    none: "iv iv iv iv iv iv iv iv iv",
  },
  r: {
    syn: "S2 iv iv iv iv iv del iv S2",
    synack: "SR ig ig ig ig ig ig ig SR",
    fin: "iv FW FW LA LA LA TW CL iv",
    ack: "ig SR ES CW CW TW TW CL ig",
    rst: "del CL CL CL CL CL CL CL CL",
    none: "iv iv iv iv iv iv iv iv iv",
  },
};

const FLAGS: Readonly<Record<string, number>> = {
  syn: SYN,
  synack: SYN | ACK,
  fin: FIN | ACK,
  ack: ACK,
  rst: RST,
  none: 0,
};

function open(): Bench {
  return new Bench([{ backends: ["10.60.0.2:8080"] }]);
}

function send(bench: Bench, { side, ...fields }: Segment): string {
  const ends = side === "o" ? CLIENT : BACKEND;
  return bench.send({ ...ends, ack: 0, ...fields }).verdict;
}

function walk(segments: readonly Segment[]): Bench {
  const bench = open();
  for (const segment of segments) assert.match(send(bench, segment), /^forward/);
  return bench;
}

function seconds(bench: Bench): number {
  return bench.connection().expiresInMs / 1000;
}

Deno.test("the paths lead where they should", () => {
  for (const [state, path] of Object.entries(PATHS)) {
    const bench = walk(path);
    assert.equal(bench.connection().state, state);
    assert.equal(seconds(bench), TIMEOUTS[state], state);
  }
});

for (const side of ["o", "r"] as const) {
  for (const [name, row] of Object.entries(TABLE[side])) {
    Deno.test(`transitions by ${name} of the ${side === "o" ? "original" : "reply"} direction`, () => {
      for (const [i, state] of Object.keys(PATHS).entries()) {
        const expected = row.split(" ")[i];
        const bench = walk(PATHS[state]);
        const isReset = name === "rst";
        // Numbers that make a reset exact; the answer to a SYN acknowledges it.
        const segment = {
          side,
          flags: isReset && side === "r" && state === "SYN_SENT" ? RST | ACK : FLAGS[name],
          seq: side === "o" ? 1001 : state === "SYN_SENT" && isReset ? 0 : 5001,
          ack: side === "o" ? 5001 : 1001,
        };
        const verdict = send(bench, segment);
        const place = `${state} + ${name} ${side}`;
        const connections = bench.connections();
        switch (expected) {
          case "iv":
            assert.match(verdict, /^drop: tcp_(invalid|flags)$/, place);
            assert.equal(bench.connection().state, state, place);
            break;
          case "ig":
            assert.equal(verdict, "forward: tracked", place);
            assert.equal(bench.connection().state, state, place);
            break;
          case "del":
            assert.equal(connections.length, 0, place);
            break;
          case "new":
            assert.equal(verdict, "forward: new", place);
            assert.equal(bench.connection().state, "SYN_SENT", place);
            assert.equal(bench.connection().assured, false, place);
            break;
          default:
            assert.equal(verdict, "forward: tracked", place);
            assert.equal(bench.connection().state, SHORT[expected], place);
        }
      }
    });
  }
}

Deno.test("flag sets: nine are valid, all others are dropped", () => {
  const valid = [
    SYN,
    SYN | URG,
    SYN | ACK,
    RST,
    RST | ACK,
    FIN | ACK,
    FIN | ACK | URG,
    ACK,
    ACK | URG,
  ];
  for (let flags = 0; flags < 256; flags++) {
    const known = valid.includes(flags & 0x37);
    const verdict = send(walk(handshake), { side: "o", flags, seq: 1001, ack: 5001 });
    assert.equal(verdict === "drop: tcp_flags", !known, `flags ${flags}: ${verdict}`);
  }
});

Deno.test("a connection begins with a SYN, or an ACK of one that was there before us", () => {
  assert.equal(send(open(), syn), "forward: new");
  const picked = open();
  assert.equal(send(picked, ack), "forward: new");
  assert.equal(picked.connection().state, "ESTABLISHED");
  assert.equal(seconds(picked), 300);
  assert.equal(send(picked, { side: "r", flags: ACK, seq: 5001, ack: 1001 }), "forward: tracked");
  assert.equal(send(picked, ack), "forward: tracked");
  assert.equal(seconds(picked), 432000);
  for (const flags of [SYN | ACK, FIN | ACK, RST, RST | ACK]) {
    const bench = open();
    assert.equal(send(bench, { side: "o", flags, seq: 1, ack: 1 }), "drop: tcp_not_syn");
    assert.equal(bench.connections().length, 0);
  }
});

Deno.test("a repeated SYN doesn't prolong the entry", () => {
  const bench = walk([syn]);
  bench.nowMs += 2200;
  assert.equal(send(bench, syn), "forward: tracked");
  assert.equal(seconds(bench), 117.8);
});

Deno.test("the answer makes a connection assured, once established", () => {
  const bench = walk([syn, synAck]);
  assert.equal(bench.connection().assured, false);
  send(bench, ack);
  assert.equal(bench.connection().assured, true);
});

Deno.test("a SYN in TIME_WAIT begins a new connection, with a new choice of backend", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080", "10.60.0.3:8080"] }]);
  for (const segment of PATHS.TIME_WAIT) send(bench, segment);
  const again = bench.send({ ...CLIENT, seq: 9000 });
  assert.equal(again.verdict, "forward: new");
  assert.equal(again.route, "10.50.0.2:5000 > 10.60.0.3:8080");
});

Deno.test("a SYN after the backend's reset is not believed", () => {
  const bench = walk([...handshake, { side: "r", flags: RST, seq: 5001 }]);
  assert.equal(bench.connection().state, "CLOSE");
  assert.equal(send(bench, { side: "o", flags: SYN, seq: 7000 }), "forward: tracked");
  assert.equal(bench.connection().state, "CLOSE");
});

Deno.test("a reset must be exact to close, and not older than what was acknowledged", () => {
  const exact = walk([...handshake, { side: "o", flags: RST, seq: 1001 }]);
  assert.equal(exact.connection().state, "CLOSE");
  assert.equal(seconds(exact), 10);
  const inWindow = walk([...handshake, { side: "o", flags: RST, seq: 1500 }]);
  assert.equal(inWindow.connection().state, "ESTABLISHED");
  assert.equal(seconds(inWindow), 10);
  const old = walk(handshake);
  assert.equal(send(old, { side: "r", flags: RST, seq: 4000 }), "drop: tcp_invalid");
  assert.equal(seconds(old), 432000);
});

Deno.test("a reset at the tail of a train of segments closes", () => {
  const data = { side: "r", flags: ACK | PSH, seq: 5001, ack: 1001, payload: new Uint8Array(20) };
  const bench = walk([...handshake, data as Segment, { side: "r", flags: RST, seq: 5021 }]);
  assert.equal(bench.connection().state, "CLOSE");
});

Deno.test("a reset that answers the SYN deletes the entry and reaches the client", () => {
  const bench = walk([syn]);
  const reset = bench.send({ ...BACKEND, flags: RST | ACK, seq: 0, ack: 1001 });
  assert.equal(reset.route, "10.99.9.9:80 > 10.50.0.2:5000");
  assert.equal(bench.connections().length, 0);
});

Deno.test("out-of-window segments pass: windows are always taken liberally", () => {
  const bench = walk(handshake);
  const far = { side: "r", flags: ACK, seq: 2_005_001, ack: 1001 } as const;
  assert.equal(send(bench, far), "forward: tracked");
});

Deno.test("a forged acknowledgment of what was never sent does not make resets invalid", () => {
  const bench = walk(handshake);
  send(bench, { side: "o", flags: ACK, seq: 1001, ack: 2_000_000 });
  assert.equal(send(bench, { side: "r", flags: RST, seq: 5001 }), "forward: tracked");
  assert.equal(bench.connection().state, "CLOSE");
});

Deno.test("what is in doubt lives 300 seconds", () => {
  const data = {
    side: "o",
    flags: ACK | PSH,
    seq: 1001,
    ack: 5001,
    payload: new Uint8Array(10),
  } as const;
  const unacknowledged = walk([...handshake, data]);
  assert.equal(seconds(unacknowledged), 300);
  send(unacknowledged, { side: "r", flags: ACK, seq: 5001, ack: 1011 });
  assert.equal(seconds(unacknowledged), 432000);
  assert.equal(seconds(walk([...handshake, { ...ack, window: 0 }])), 300);
  // The first acknowledgment and three times the same.
  assert.equal(seconds(walk([...handshake, ack, ack])), 432000);
  assert.equal(seconds(walk([...handshake, ack, ack, ack])), 300);
});

Deno.test("both ends that begin anew are followed", () => {
  const bench = walk([...handshake, { side: "o", flags: SYN, seq: 20000 }]);
  assert.equal(bench.connection().state, "ESTABLISHED");
  assert.equal(seconds(bench), 432000);
  send(bench, { side: "r", flags: SYN | ACK, seq: 30000, ack: 20001 });
  assert.equal(bench.connection().state, "SYN_RECV");
  assert.equal(seconds(bench), 60);
  send(bench, { side: "o", flags: ACK, seq: 20001, ack: 30001 });
  assert.equal(bench.connection().state, "ESTABLISHED");
  assert.equal(send(bench, { side: "r", flags: RST, seq: 30001 }), "forward: tracked");
  assert.equal(bench.connection().state, "CLOSE");
});

Deno.test("a challenge ACK in LAST_ACK is not the last ACK", () => {
  const bench = walk([...PATHS.LAST_ACK, { side: "o", flags: SYN, seq: 40000 }]);
  assert.equal(bench.connection().state, "LAST_ACK");
  send(bench, { side: "r", flags: ACK, seq: 5002, ack: 1002 });
  assert.equal(bench.connection().state, "LAST_ACK");
  send(bench, { side: "o", flags: ACK, seq: 1002, ack: 5002 });
  assert.equal(bench.connection().state, "TIME_WAIT");
});

Deno.test("simultaneous open ends established", () => {
  const bench = walk([syn, synR, synAck]);
  assert.equal(bench.connection().state, "SYN_RECV");
  send(bench, { side: "r", flags: ACK, seq: 5001, ack: 1001 });
  assert.equal(bench.connection().state, "ESTABLISHED");
});

Deno.test("an entry is gone when its time is up, and not before", () => {
  const bench = walk([syn]);
  bench.nowMs += 119_999;
  assert.equal(bench.connections().length, 1);
  bench.nowMs += 1;
  assert.equal(bench.connections().length, 0);
  assert.equal(
    bench.send({ ...BACKEND, flags: SYN | ACK, ack: 1001 }).verdict,
    "pass: no_frontend",
  );
});

Deno.test("timeouts can be configured", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"] }], {
    tcpTimeouts: { established: 86400, closeWait: 3600 },
  });
  for (const segment of handshake) send(bench, segment);
  assert.equal(seconds(bench), 86400);
  send(bench, finO);
  send(bench, ackR);
  assert.equal(seconds(bench), 3600);
});

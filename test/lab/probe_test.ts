import assert from "node:assert/strict";
import { type Outcome, probe, type Target } from "../../src/lab/probe.ts";
import { PATIENCE_MS } from "../until.ts";

const HOST = "127.0.0.1";
/** For what is not to be answered. */
const SOON = { timeoutMs: 150 };
/** For what is. */
const PATIENT = { timeoutMs: PATIENCE_MS };

const at = (port: number, protocol: Target["protocol"] = "TCP"): Target => ({
  address: HOST,
  port,
  protocol,
});

/** Asks a TCP server that does this with every connection. */
async function askServer(
  serve: (connection: Deno.TcpConn) => Promise<void>,
  options = PATIENT,
): Promise<Outcome> {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const connections: Deno.TcpConn[] = [];
  const served = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await serve(connection);
    }
  })();
  try {
    const [outcome] = await probe(at(listener.addr.port), options);
    return outcome;
  } finally {
    listener.close();
    await served;
    for (const connection of connections) connection.close();
  }
}

function reply(text: string) {
  return async (connection: Deno.TcpConn) => {
    await connection.read(new Uint8Array(1024));
    await connection.write(new TextEncoder().encode(text));
    await connection.closeWrite();
  };
}

Deno.test("an answer is the body of the response", async () => {
  const outcome = await askServer(
    reply("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nweb-1\n"),
  );
  assert.ok(outcome.kind === "answer" && outcome.pod === "web-1");
});

Deno.test("what is no answer is a failure that says what it was", async () => {
  const cases: [string, RegExp][] = [
    ["HTTP/1.1 503 Service Unavailable\r\n\r\n", /unexpected answer: HTTP\/1\.1 503/],
    ["", /closed without an answer/],
    ["220 mail.example.org\r\n", /unexpected answer: 220 mail/],
  ];
  for (const [text, message] of cases) {
    const outcome = await askServer(reply(text));
    assert.ok(outcome.kind === "failed", outcome.kind);
    assert.match(outcome.message, message);
  }
});

Deno.test("a server that accepts and says nothing is silence", async () => {
  const outcome = await askServer(() => Promise.resolve(), SOON);
  assert.equal(outcome.kind, "timeout");
  assert.ok(outcome.ms >= 149, `${outcome.ms} ms`);
});

Deno.test("nobody at a port refuses, TCP and UDP", async () => {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  listener.close();
  for (const protocol of ["TCP", "UDP"] as const) {
    const [outcome] = await probe(at(port, protocol), PATIENT);
    assert.equal(outcome.kind, "refused", protocol);
  }
});

Deno.test("a datagram that nobody answers is silence; an answer from elsewhere a failure", async () => {
  const silent = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const other = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  try {
    const { port } = silent.addr as Deno.NetAddr;
    const [silence] = await probe(at(port, "UDP"), SOON);
    assert.equal(silence.kind, "timeout");
    await silent.receive();
    const asked = probe(at(port, "UDP"), PATIENT);
    const [, asker] = await silent.receive();
    await other.send(new TextEncoder().encode("web-1\n"), asker);
    const [outcome] = await asked;
    assert.ok(outcome.kind === "failed", outcome.kind);
    assert.match(outcome.message, /asked UDP 127\.0\.0\.1:\d+, answered by 127\.0\.0\.1:\d+/);
  } finally {
    silent.close();
    other.close();
  }
});

Deno.test("as many are asked as wanted, at most so many at a time", async () => {
  let open = 0;
  let most = 0;
  const four = Promise.withResolvers<void>();
  const server = Deno.serve({ hostname: HOST, port: 0, onListen() {} }, async () => {
    most = Math.max(most, ++open);
    if (open === 4) four.resolve();
    await four.promise;
    await new Promise((resolve) => setTimeout(resolve, 5));
    open--;
    return new Response("web-1\n");
  });
  try {
    const outcomes = await probe(at(server.addr.port), { ...PATIENT, count: 20, concurrency: 4 });
    assert.deepEqual(outcomes.map(({ kind }) => kind), new Array(20).fill("answer"));
    assert.equal(most, 4);
  } finally {
    four.resolve();
    await server.shutdown();
  }
});

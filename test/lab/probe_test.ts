import assert from "node:assert/strict";
import { type Outcome, probe, type Target } from "../../src/lab/probe.ts";

const HOST = "127.0.0.1";
const SOON = { timeoutMs: 150 };

const at = (port: number, protocol: Target["protocol"] = "TCP"): Target => ({
  address: HOST,
  port,
  protocol,
});

/** Asks a TCP server that does this with every connection. */
async function askServer(serve: (connection: Deno.TcpConn) => Promise<void>): Promise<Outcome> {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const connections: Deno.TcpConn[] = [];
  const served = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await serve(connection);
    }
  })();
  try {
    const [outcome] = await probe(at(listener.addr.port), SOON);
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
  assert.ok(outcome.kind === "answer" && outcome.pod === "web-1" && outcome.ms < 150);
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
  const outcome = await askServer(() => Promise.resolve());
  assert.equal(outcome.kind, "timeout");
  assert.ok(outcome.ms >= 149 && outcome.ms < 1000, `${outcome.ms} ms`);
});

Deno.test("nobody at a port refuses, TCP and UDP", async () => {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  listener.close();
  for (const protocol of ["TCP", "UDP"] as const) {
    const [outcome] = await probe(at(port, protocol), SOON);
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
    const asked = probe(at(port, "UDP"), { timeoutMs: 2000 });
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
  const server = Deno.serve({ hostname: HOST, port: 0, onListen() {} }, async () => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setTimeout(resolve, 5));
    open--;
    return new Response("web-1\n");
  });
  try {
    const outcomes = await probe(at(server.addr.port), { count: 20, concurrency: 4 });
    assert.deepEqual(outcomes.map(({ kind }) => kind), new Array(20).fill("answer"));
    assert.ok(most > 1 && most <= 4, `${most} at a time`);
  } finally {
    await server.shutdown();
  }
});

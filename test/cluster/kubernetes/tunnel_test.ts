import assert from "node:assert/strict";
import { Tunnel } from "../../../src/cluster/kubernetes/tunnel.ts";

async function readAll(connection: Deno.Conn): Promise<string> {
  let text = "";
  for await (const chunk of connection.readable) text += new TextDecoder().decode(chunk);
  return text;
}

async function through(tunnel: Tunnel, head: string): Promise<Deno.Conn> {
  const { hostname, port } = new URL(tunnel.url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(head));
  return connection;
}

Deno.test("A tunnel leads to its server, whatever is asked for, and ends with it", async () => {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = server.addr as Deno.NetAddr;
  const tunnel = new Tunnel({ dial: () => Deno.connect({ hostname: "127.0.0.1", port }) });
  const near = await through(tunnel, "CONNECT elsewhere.test:443 HTTP/1.1\r\n\r\n");
  const far = await server.accept();
  await far.write(new TextEncoder().encode("hello"));
  far.close();
  assert.equal(await readAll(near), "HTTP/1.1 200 OK\r\n\r\nhello");
  tunnel.close();
  server.close();
});

Deno.test("A tunnel says that its server is not there, and closes what makes no sense", async () => {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = server.addr as Deno.NetAddr;
  server.close();
  const tunnel = new Tunnel({ dial: () => Deno.connect({ hostname: "127.0.0.1", port }) });
  const refused = await through(tunnel, "CONNECT elsewhere.test:443 HTTP/1.1\r\n\r\n");
  assert.match(await readAll(refused), /^HTTP\/1\.1 502 /);
  assert.match(tunnel.failure!, /Connection refused/);
  const endless = await through(tunnel, "x".repeat(8192));
  assert.equal(await readAll(endless), "");
  tunnel.close();
});

/**
 * A connection to a server, straight or through a proxy.
 *
 * @module
 */

import { formatSocketAddress } from "../../net/address.ts";
import { messageOf } from "./failure.ts";
import { readHead, writeAll } from "./http_head.ts";
import { type Login, loginOf, type Route, type Target, targetOf } from "./route.ts";
import { openSocks } from "./socks.ts";

/** The proxy has to have connected within this time. */
const PROXY_MS = 30_000;

/**
 * Connects.
 *
 * @throws {Error} naming the proxy, if it is that which refuses.
 */
export async function dial(target: Target, route: Route = {}): Promise<Deno.Conn> {
  const { proxyUrl, caCerts = [] } = route;
  if (proxyUrl === undefined) return await Deno.connect({ ...target });
  const proxy = new URL(proxyUrl);
  let connection: Deno.Conn | null = null;
  const timer = setTimeout(() => connection?.close(), PROXY_MS);
  try {
    connection = proxy.protocol === "https:"
      ? await Deno.connectTls({ ...targetOf(proxyUrl), caCerts: [...caCerts] })
      : await Deno.connect(targetOf(proxyUrl));
    const open = proxy.protocol.startsWith("socks") ? openSocks : openTunnel;
    await open(connection, target, loginOf(proxy));
    return connection;
  } catch (error) {
    if (connection !== null) closeQuietly(connection);
    throw new Error(`proxy-url ${proxy.protocol}//${proxy.host}: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** CONNECT of HTTP/1.1 (RFC 9110, 9.3.6). */
async function openTunnel(
  connection: Deno.Conn,
  { hostname, port }: Target,
  login: Login | null,
): Promise<void> {
  const authority = formatSocketAddress(hostname, port);
  const lines = [`CONNECT ${authority} HTTP/1.1`, `host: ${authority}`];
  if (login !== null) {
    const pair = new TextEncoder().encode(`${login.user}:${login.password}`);
    lines.push(`proxy-authorization: Basic ${pair.toBase64()}`);
  }
  await writeAll(connection, `${lines.join("\r\n")}\r\n\r\n`);
  const head = await readHead(connection);
  if (head === null) throw new Error("it closed the connection without an answer");
  const [, status] = /^HTTP\/1\.[01] (\d{3}[^\r]*)/.exec(head) ?? [];
  if (status === undefined) throw new Error("expected an answer of HTTP/1.1 to CONNECT");
  if (!status.startsWith("2")) throw new Error(`it answered CONNECT ${authority} with ${status}`);
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    // Its time was over.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

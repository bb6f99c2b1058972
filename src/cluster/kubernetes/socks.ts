/**
 * SOCKS 5, the client's side (RFC 1928), with user and password (RFC 1929).
 *
 * @module
 */

import { addressBytes, parseAddress } from "../../net/address.ts";
import { writeAll } from "./http_head.ts";
import type { Login, Target } from "./route.ts";

const VERSION = 5;
const NO_LOGIN = 0;
const USER_AND_PASSWORD = 2;
const CONNECT = 1;
const ADDRESS_TYPE = { IPv4: 1, name: 3, IPv6: 4 } as const;

/** What a proxy may answer to CONNECT, by number (RFC 1928, 6). */
const REFUSALS: Readonly<Record<number, string>> = {
  1: "general failure",
  2: "connection not allowed",
  3: "network unreachable",
  4: "host unreachable",
  5: "connection refused",
  6: "TTL expired",
  7: "command not supported",
  8: "address type not supported",
};

/**
 * Has the proxy at the other end connect to the target; afterwards the connection leads there. Names
 * are the proxy's to resolve.
 *
 * @throws {Error} with the proxy's reason, when it refuses.
 */
export async function openSocks(
  connection: Deno.Conn,
  target: Target,
  login: Login | null,
): Promise<void> {
  const methods = login === null ? [NO_LOGIN] : [NO_LOGIN, USER_AND_PASSWORD];
  await writeAll(connection, Uint8Array.of(VERSION, methods.length, ...methods));
  const [version, method] = await readBytes(connection, 2);
  if (version !== VERSION) throw new Error(`expected SOCKS 5, found version ${version}`);
  if (method === USER_AND_PASSWORD && login !== null) await logIn(connection, login);
  else if (method !== NO_LOGIN) throw new Error("it wants a login that is not given");
  await writeAll(connection, connectRequest(target));
  const [, reply, , type] = await readBytes(connection, 4);
  if (reply !== 0) throw new Error(`it cannot connect: ${REFUSALS[reply] ?? `reply ${reply}`}`);
  // The address that it connects from, and the port: of no use here.
  const length = type === ADDRESS_TYPE.name ? (await readBytes(connection, 1))[0] : lengthOf(type);
  await readBytes(connection, length + 2);
}

async function logIn(connection: Deno.Conn, { user, password }: Login): Promise<void> {
  const words = [shortText("user", user), shortText("password", password)];
  await writeAll(connection, Uint8Array.of(1, ...words[0], ...words[1]));
  const [, status] = await readBytes(connection, 2);
  if (status !== 0) throw new Error("it refuses this user and password");
}

function connectRequest({ hostname, port }: Target): Uint8Array {
  const address = parseAddress(hostname);
  const where = address === null
    ? [ADDRESS_TYPE.name, ...shortText("host name", hostname)]
    : [address.includes(":") ? ADDRESS_TYPE.IPv6 : ADDRESS_TYPE.IPv4, ...addressBytes(address)];
  return Uint8Array.of(VERSION, CONNECT, 0, ...where, port >> 8, port & 0xff);
}

/** A text after its length in one byte. */
function shortText(what: string, text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length === 0 || bytes.length > 255) {
    throw new Error(`expected a ${what} of 1 to 255 bytes, found ${bytes.length}`);
  }
  return [bytes.length, ...bytes];
}

function lengthOf(type: number): number {
  if (type === ADDRESS_TYPE.IPv4) return 4;
  if (type === ADDRESS_TYPE.IPv6) return 16;
  throw new Error(`it answers with an address of unknown type ${type}`);
}

/** Just so many bytes. */
async function readBytes(connection: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let length = 0; length < count;) {
    const read = await connection.read(bytes.subarray(length));
    if (read === null) throw new Error("it closed the connection without an answer");
    length += read;
  }
  return bytes;
}

/**
 * Heads of HTTP/1.1 messages on a bare connection, as far as a tunnel needs them.
 *
 * @module
 */

/** Longest head, in bytes. */
const MAX_HEAD_BYTES = 8192;

/**
 * The head that comes; null when the connection ends before, or it is too long. What follows a head
 * waits for an answer, or is an answer to what was not sent yet, so that no byte comes behind it.
 */
export async function readHead(connection: Deno.Conn): Promise<string | null> {
  const buffer = new Uint8Array(MAX_HEAD_BYTES);
  let length = 0;
  while (length < buffer.length) {
    const read = await connection.read(buffer.subarray(length));
    if (read === null) return null;
    length += read;
    const head = new TextDecoder().decode(buffer.subarray(0, length));
    if (head.endsWith("\r\n\r\n")) return head;
  }
  return null;
}

/** Writes all of something. */
export async function writeAll(connection: Deno.Conn, data: string | Uint8Array): Promise<void> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

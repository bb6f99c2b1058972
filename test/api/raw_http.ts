/** HTTP by hand, for what a client that keeps to the rules does not send. */

/** Sends bytes on a connection and reads what comes until the other side ends it. */
export async function exchange(connection: Deno.Conn, request: string): Promise<string> {
  await connection.write(new TextEncoder().encode(request));
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(1 << 16);
  try {
    for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
      chunks.push(buffer.slice(0, n));
    }
  } finally {
    connection.close();
  }
  return await new Blob(chunks as BlobPart[]).text();
}

/** A GET request whose answer ends the connection. */
export function getRequest(path: string, host: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
}

/** The status of an answer. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
}

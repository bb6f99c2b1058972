/**
 * Real connections from the namespace that this process is in; prints what came of them as JSON.
 *
 *     probe ADDRESS PORT PROTOCOL COUNT CONCURRENCY    outcomes
 *     download ORIGIN BYTES                            length and checksum of known bytes
 *     hold ADDRESS PORT MILLISECONDS ANSWERS           who answers on one connection, all the time,
 *                                                      at least so long and so often
 *
 * @module
 */

import { digest } from "../../src/lab/payload.ts";
import { probe, type Target } from "../../src/lab/probe.ts";

async function download(origin: string, bytes: number) {
  const response = await fetch(`${origin}/bytes?n=${bytes}`);
  return await digest(response.body);
}

/** The names that answer requests on one connection that stays open. */
async function hold(
  hostname: string,
  port: number,
  ms: number,
  answers: number,
): Promise<string[]> {
  const names: string[] = [];
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  using connection = await Deno.connect({ hostname, port });
  const until = performance.now() + ms;
  while (performance.now() < until || names.length < answers) {
    await connection.write(new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`));
    let response = "";
    while (!/\r\n\r\n.*\n/.test(response)) {
      const length = await connection.read(buffer);
      if (length === null) throw new Error("the connection was closed");
      response += decoder.decode(buffer.subarray(0, length), { stream: true });
    }
    names.push(response.slice(response.indexOf("\r\n\r\n") + 4).trim());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return names;
}

async function dial([mode, where, ...args]: readonly string[]): Promise<unknown> {
  switch (mode) {
    case "probe": {
      const [port, protocol, count, concurrency] = args;
      const target = {
        address: where,
        port: Number(port),
        protocol: protocol as Target["protocol"],
      };
      return await probe(target, {
        count: Number(count),
        concurrency: Number(concurrency),
        timeoutMs: 60_000,
      });
    }
    case "download":
      return await download(where, Number(args[0]));
    case "hold":
      return await hold(where, Number(args[0]), Number(args[1]), Number(args[2]));
    default:
      throw new Error(`no mode ${mode}`);
  }
}

Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(await dial(Deno.args)) + "\n"));

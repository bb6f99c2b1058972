/**
 * One question to a frontend: a connection or datagram of its own, and what came of it.
 *
 * @module
 */

import { formatSocketAddress } from "../net/address.ts";
import type { Protocol } from "../cluster/objects.ts";
import { exchangeDatagram } from "./datagram.ts";
import { messageOf } from "../errors.ts";

/** What is dialled. */
export interface Target {
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** What came of one question; `ms` is how long it took. */
export type Outcome =
  /** Someone answered, with this name; or, when another path was asked for, with this text. */
  | { readonly kind: "answer"; readonly pod: string; readonly ms: number }
  /** Told at once that nobody is there: TCP RST or ICMP port unreachable. */
  | { readonly kind: "refused"; readonly ms: number }
  /** Silence. */
  | { readonly kind: "timeout"; readonly ms: number }
  /** Anything else, such as a connection that broke or an answer that makes no sense. */
  | { readonly kind: "failed"; readonly message: string; readonly ms: number };

/** How to ask. */
export interface ProbeOptions {
  /** How many questions (default 1). */
  readonly count?: number;
  /** How many at a time (default 1). */
  readonly concurrency?: number;
  /** When to give up waiting for an answer, in milliseconds (default 20 000). */
  readonly timeoutMs?: number;
  /** What is asked for over HTTP (default "/": the pod's name). */
  readonly path?: string;
}

/**
 * Asks the target from the network namespace that this thread is in. Every question opens a new
 * socket, so each is a new connection to every load balancer. Outcomes in the order asked.
 */
export async function probe(target: Target, options: ProbeOptions = {}): Promise<Outcome[]> {
  const { count = 1, concurrency = 1, timeoutMs = 20_000, path = "/" } = options;
  const outcomes: Outcome[] = new Array(count);
  let next = 0;
  const asker = async () => {
    while (next < count) {
      const place = next++;
      outcomes[place] = await ask(target, timeoutMs, path);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, asker));
  return outcomes;
}

async function ask(target: Target, timeoutMs: number, path: string): Promise<Outcome> {
  const start = performance.now();
  const elapsed = () => performance.now() - start;
  try {
    const pod = await askText(target, timeoutMs, path);
    return { kind: "answer", pod, ms: elapsed() };
  } catch (error) {
    const ms = elapsed();
    if (error instanceof Deno.errors.ConnectionRefused) return { kind: "refused", ms };
    if (
      error instanceof Deno.errors.TimedOut ||
      error instanceof DOMException && error.name === "TimeoutError"
    ) {
      return { kind: "timeout", ms };
    }
    return { kind: "failed", message: messageOf(error), ms };
  }
}

function askText(target: Target, timeoutMs: number, path: string): Promise<string> {
  switch (target.protocol) {
    case "TCP":
      return askTcp(target, timeoutMs, path);
    case "UDP":
      return askUdp(target, timeoutMs);
    case "SCTP":
      return Promise.reject(new Error("the lab does not speak SCTP"));
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function askTcp(
  { address, port }: Target,
  timeoutMs: number,
  path: string,
): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  const connection = await Deno.connect({
    hostname: address,
    port,
    autoSelectFamily: false,
    signal,
  });
  const abort = () => connection.close();
  signal.addEventListener("abort", abort, { once: true });
  try {
    const host = formatSocketAddress(address, port);
    await connection.write(
      encoder.encode(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    let text = "";
    const buffer = new Uint8Array(4096);
    for (;;) {
      const length = await connection.read(buffer);
      if (length === null) break;
      text += decoder.decode(buffer.subarray(0, length), { stream: true });
    }
    return bodyOf(text);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
    if (!signal.aborted) connection.close();
  }
}

/** The body, without a final newline, of a whole HTTP/1.1 response with status 200. */
function bodyOf(text: string): string {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0 || !/^HTTP\/1\.1 200 /.test(text)) {
    const [first] = text.split("\r\n", 1);
    throw new Error(first === "" ? "closed without an answer" : `unexpected answer: ${first}`);
  }
  return text.slice(end + 4).trimEnd();
}

async function askUdp(target: Target, timeoutMs: number): Promise<string> {
  const answer = await exchangeDatagram(target, encoder.encode("who are you?\n"), timeoutMs);
  return decoder.decode(answer).trimEnd();
}

/**
 * A thread that lives in one network namespace of the lab and dials from there.
 *
 * @module
 */

import { NetworkNamespace } from "../linux/namespace.ts";
import { serveCalls } from "../rpc/worker_rpc.ts";
import { digest, payloadStream } from "./payload.ts";
import { probe, type ProbeOptions, type Target } from "./probe.ts";

/** Length and SHA-256 (hexadecimal) of what arrived. */
export interface Transfer {
  readonly bytes: number;
  readonly sha256: string;
}

const methods = {
  /** Moves this thread into the namespace for good; comes before every other call. */
  enter(fd: number): void {
    NetworkNamespace.fromFd(fd).enter();
  },

  /** See {@link probe}. */
  probe(target: Target, options: ProbeOptions) {
    return probe(target, options);
  },

  /** The body of an HTTP answer as text; throws when it is not a 200. */
  async fetchText(url: string): Promise<string> {
    const response = await fetch(url);
    const text = await response.text();
    if (!response.ok) throw new Error(`${url}: ${response.status} ${text.trimEnd()}`);
    return text;
  },

  /** Downloads a pod's known bytes (`/bytes`) over one connection and says what arrived. */
  async download(origin: string, bytes: number): Promise<Transfer> {
    const response = await fetch(`${origin}/bytes?n=${bytes}`);
    if (!response.ok) throw new Error(`${origin}: ${response.status} ${await response.text()}`);
    return digest(response.body);
  },

  /** Uploads known bytes over one connection and says what the pod received. */
  async upload(origin: string, bytes: number): Promise<Transfer> {
    const response = await fetch(`${origin}/sha256`, {
      method: "POST",
      body: payloadStream(bytes),
    });
    if (!response.ok) throw new Error(`${origin}: ${response.status} ${await response.text()}`);
    return await response.json();
  },
};

/** What a client worker can be asked. */
export type ClientMethods = typeof methods;

serveCalls(self as unknown as Worker, methods);

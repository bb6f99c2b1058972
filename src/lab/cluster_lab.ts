/**
 * Keeps a lab like the cluster that a source describes: its pods, and the servers outside it that
 * its Services speak of.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import { type EndpointSlice, objectKey, type Pod } from "../cluster/objects.ts";
import type { ClusterChange, ClusterSource } from "../cluster/source.ts";
import { type Server, serversFor } from "./topology.ts";

/** The part of the lab that is kept. */
export interface Servers {
  setServers(servers: readonly Server[]): Promise<readonly string[]>;
}

/** What is told to the user. */
export interface ClusterLabOptions {
  /** Servers that cannot be had *now*, a line each, when they are others than before. */
  problems(lines: readonly string[]): void;
  /**
   * How long servers outlive their endpoints, in milliseconds (default 300), so that no connection is
   * still sent to them when they go. In a cluster the kubelet gives that time.
   */
  readonly graceMs?: number;
}

/**
 * Follows a cluster. Servers come before those who send to them learn of them, and go after these
 * have forgotten them.
 */
export class ClusterLab {
  readonly #lab: Servers;
  readonly #options: ClusterLabOptions;
  readonly #slices = new Map<string, EndpointSlice>();
  #pods: readonly Pod[] = [];
  /** What was last asked of the lab. */
  #present: readonly Server[] = [];
  #problems: readonly string[] = [];
  /** Everything that is asked of the lab, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #retirement: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(lab: Servers, options: ClusterLabOptions) {
    this.#lab = lab;
    this.#options = options;
  }

  /**
   * The pods that the cluster has now. When their EndpointSlices change with them, call this in the
   * same turn of the event loop, so that no address seems to be without its pod.
   */
  setPods(pods: readonly Pod[]): void {
    this.#pods = pods;
    this.#enqueue(() => this.#grow());
  }

  /** The same source, which tells of changes once the servers in them are there. */
  follow(source: ClusterSource): ClusterSource {
    return {
      simulated: source.simulated,
      run: async (listener, signal) => {
        await source.run({
          changed: (changes) => {
            for (const change of changes) this.#keep(change);
            this.#enqueue(async () => {
              await this.#grow();
              if (!signal.aborted) listener.changed(changes);
            });
          },
          problems: (problems) => listener.problems(problems),
        }, signal);
        await this.#work;
      },
    };
  }

  /** Resolves when the lab is as the cluster was when this was called, but for servers that go. */
  settled(): Promise<void> {
    return this.#work;
  }

  /** Follows no more. The lab stays as it is. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retirement);
    await this.#work;
  }

  #keep({ action, object }: ClusterChange): void {
    if (object.kind !== "EndpointSlice") return;
    if (action === "apply") this.#slices.set(objectKey(object), object);
    else this.#slices.delete(objectKey(object));
  }

  #enqueue(step: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (!this.#stopped) await step();
    });
  }

  /** What is wanted comes; what is not wanted any more stays for the grace time. */
  async #grow(): Promise<void> {
    const wanted = serversFor(this.#pods, this.#slices.values());
    const names = new Set(wanted.map(({ name }) => name));
    const addresses = new Set(wanted.flatMap((server) => server.addresses));
    const leaving = this.#present.filter((server) =>
      !names.has(server.name) && !server.addresses.some((address) => addresses.has(address))
    );
    await this.#ask([...wanted, ...leaving]);
    if (leaving.length === 0) return;
    clearTimeout(this.#retirement);
    this.#retirement = setTimeout(
      () => this.#enqueue(() => this.#ask(serversFor(this.#pods, this.#slices.values()))),
      this.#options.graceMs ?? 300,
    );
  }

  async #ask(servers: readonly Server[]): Promise<void> {
    this.#present = servers;
    const problems = await this.#lab.setServers(servers);
    if (isDeepStrictEqual(problems, this.#problems)) return;
    this.#problems = problems;
    this.#options.problems(problems);
  }
}

/**
 * The agent in iptables mode, as a process that can be killed. It is told of the cluster on standard
 * input and says what it does on standard output, one line of JSON each.
 *
 * Argument: JSON of {@link ProcessOptions}. It works in the network namespace that it is started in.
 *
 * @module
 */

import { configureSync } from "@logtape/logtape";
import { Agent } from "../../../src/agent/agent.ts";
import type { ClusterChange, ClusterListener, ClusterSource } from "../../../src/cluster/source.ts";
import { formatDrift } from "../../../src/dataplane/iptables/drift.ts";
import { IptablesDataPlane } from "../../../src/dataplane/iptables/dataplane.ts";
import type { Backend } from "../../../src/dataplane/iptables/programs.ts";
import type { EngineHandle } from "../../../src/engine/handle.ts";
import type { Family } from "../../../src/net/address.ts";
import { testPlanner } from "../../dataplane/iptables/plans.ts";

/** How the agent is to be. */
export interface ProcessOptions {
  readonly backend: Backend;
  readonly family: Family;
  readonly fullSyncPeriodMs: number;
  readonly canaryPeriodMs: number;
  readonly retryMs: number;
  readonly confirmationMs: number;
  readonly minSyncMs: number;
}

/** What it can be told. */
export type Order =
  | { readonly changes: readonly ClusterChange[] }
  | { readonly sync: true }
  | { readonly echo: true };

/** What it says. */
export type Report =
  | { readonly started: true }
  | { readonly synced: boolean }
  | { readonly echo: true }
  | { readonly lines: number; readonly full: boolean; readonly drift: readonly string[] }
  | { readonly level: string; readonly message: string };

async function main(options: ProcessOptions): Promise<void> {
  configureSync({
    sinks: {
      output: ({ level, message }) => say({ level, message: message.join("") }),
    },
    loggers: [
      { category: "switchyard", sinks: ["output"], lowestLevel: "info" },
      { category: ["logtape", "meta"], lowestLevel: "error" },
    ],
  });
  let agent: Agent | null = null;
  const dataPlane = await IptablesDataPlane.start({
    engine: { apply: () => Promise.resolve() } as Partial<EngineHandle> as EngineHandle,
    families: [options.family],
    backend: options.backend,
    fullSyncPeriodMs: options.fullSyncPeriodMs,
    canaryPeriodMs: options.canaryPeriodMs,
    confirmationMs: options.confirmationMs,
    requestSync: () => agent?.requestSync(),
    synced: (syncs) => {
      for (const { lines, full, drift } of syncs) {
        say({ lines, full, drift: drift.map(formatDrift) });
      }
    },
  });
  agent = new Agent({
    source: new InputSource(() => agent?.requestSync()),
    planner: testPlanner({ families: [options.family] }),
    dataPlane,
    nodeName: "node1",
    families: [options.family],
    minSyncMs: options.minSyncMs,
    syncPeriodMs: 30_000,
    retryMs: options.retryMs,
    observer: {
      queued() {},
      synced: ({ ok }) => say({ synced: ok }),
    },
  });
  agent.ready.catch(() => {});
  say({ started: true });
  await agent.start();
}

function say(report: Report): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(report)}\n`));
}

/** The cluster as standard input tells of it. */
class InputSource implements ClusterSource {
  readonly #sync: () => void;

  constructor(sync: () => void) {
    this.#sync = sync;
  }

  async run(listener: ClusterListener): Promise<void> {
    for await (const order of lines(Deno.stdin.readable)) {
      const parsed = JSON.parse(order) as Order;
      if ("changes" in parsed) listener.changed(parsed.changes);
      else if ("sync" in parsed) this.#sync();
      else say(parsed);
    }
    Deno.exit(0);
  }
}

/** The lines of a stream. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream() as never)) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

if (import.meta.main) await main(JSON.parse(Deno.args[0]));

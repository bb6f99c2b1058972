/**
 * The proxy that the API benchmark asks, in the network namespace of this process:
 * `api_server.ts MODE SERVICES`. In iptables mode it programs that namespace; in userspace mode there
 * is only an engine that answers. Requests come as lines of JSON on standard input, and each is
 * answered by one; the first line says where it listens.
 *
 * @module
 */

import { Agent } from "../src/agent/agent.ts";
import { observers } from "../src/agent/events.ts";
import { historyTo } from "../src/agent/history.ts";
import { plannerConfig } from "../src/agent/options.ts";
import { QueryOnlyDataPlane } from "../src/agent/query_only.ts";
import { apiState } from "../src/agent/state.ts";
import { queryApp } from "../src/api/app.ts";
import { EventHub } from "../src/api/events/hub.ts";
import { Metrics } from "../src/api/metrics.ts";
import { serve } from "../src/api/server.ts";
import type { ClusterListener } from "../src/cluster/source.ts";
import { parseCommandLine } from "../src/config/config.ts";
import type { DataPlane } from "../src/dataplane/dataplane.ts";
import { IptablesDataPlane } from "../src/dataplane/iptables/dataplane.ts";
import { LocalEngine } from "../src/engine/local.ts";
import { History } from "../src/history/history.ts";
import { Planner } from "../src/plan/planner.ts";
import { bareServer } from "./api_bare.ts";
import { cluster, endpointChange, NODE_ADDRESS, NODE_NAME, POD_NETWORK } from "./sync_cluster.ts";
import { linesOf } from "./sync_lines.ts";

/** What the server may be told. */
export type Order =
  /** One pod of one Service gives way to another. */
  | { readonly action: "sync"; readonly round: number }
  | { readonly action: "memory" }
  /** What the bare routes answer with: so many bytes of JSON or of anything. */
  | { readonly action: "bare"; readonly bytes: number };

/** What it answers. */
export interface Done {
  /** Milliseconds from the change in the source to the end of its sync. */
  readonly ms: number;
  /** Resident memory, bytes. */
  readonly rss: number;
}

/** The first line. */
export interface Listening {
  readonly port: number;
  /** Of a server with bare Hono routes: GET /bare and POST /bare, which reads its body. */
  readonly barePort: number;
}

const LOOPBACK = { host: "127.0.0.1", port: 0 };

const FLAGS = [
  `--hostname-override=${NODE_NAME}`,
  `--node-ip=${NODE_ADDRESS}`,
  `--cluster-cidr=${POD_NETWORK}`,
  "--ip-family=ipv4",
];

function startDataPlane(mode: string): Promise<DataPlane> {
  const engine = LocalEngine.create();
  if (mode !== "iptables") return Promise.resolve(new QueryOnlyDataPlane("userspace", engine));
  const quiet = { canaryPeriodMs: 0, confirmationMs: 0 };
  return IptablesDataPlane.start({ engine, families: ["IPv4"], ...quiet });
}

async function main(mode: string, services: number): Promise<void> {
  const { config } = parseCommandLine(FLAGS, "run", () => NODE_NAME);
  const dataPlane = await startDataPlane(mode);
  const planner = new Planner(plannerConfig(config, dataPlane.mode, []));
  const listener = Promise.withResolvers<ClusterListener>();
  const history = new History();
  let synced = () => {};
  const agent = new Agent({
    source: {
      run(found, signal) {
        listener.resolve(found);
        return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
      },
    },
    planner,
    dataPlane,
    nodeName: NODE_NAME,
    families: config.families,
    minSyncMs: 0,
    syncPeriodMs: 30_000,
    observer: observers(historyTo(history, dataPlane), { queued() {}, synced: () => synced() }),
  });
  const events = new EventHub();
  const programming = mode === "iptables";
  const state = apiState({ agent, planner, config, programming, events, history });
  const metrics = new Metrics(config.families, "bench");
  const app = queryApp(state, metrics, { version: "bench", token: null });
  const server = serve(LOOPBACK, (request) => app.fetch(request, { loopback: true }));
  const bare = bareServer();
  const running = agent.start();
  const { changed } = await listener.promise;
  // As a control plane's objects come.
  changed(JSON.parse(JSON.stringify([...cluster(services)])));
  await agent.ready;

  const encoder = new TextEncoder();
  const say = (line: Listening | Done) =>
    Deno.stdout.write(encoder.encode(JSON.stringify(line) + "\n"));
  const done = (ms = 0): Done => ({ ms, rss: Deno.memoryUsage().rss });
  await say({ port: server.address.port, barePort: bare.server.address.port });
  for await (const line of linesOf(Deno.stdin.readable)) {
    const order = JSON.parse(line) as Order;
    if (order.action === "sync") {
      const start = performance.now();
      const end = new Promise<void>((resolve) => synced = resolve);
      changed(endpointChange(services, order.round));
      await end;
      await say(done(performance.now() - start));
      continue;
    }
    if (order.action === "bare") bare.size(order.bytes);
    await say(done());
  }
  await server.stop();
  await bare.server.stop();
  await agent.stop();
  await running;
}

if (import.meta.main) await main(Deno.args[0], Number(Deno.args[1]));

/**
 * The agent on a real cluster: the first list to a programmed node, memory, processor time, and how
 * fast a change reaches clients while a hundred others a second are made; beside kube-proxy itself
 * with the same API server, one after the other on the same node.
 *
 * Needs root, iptables, and etcd and kube-apiserver in the folder that KUBEBUILDER_ASSETS names; there
 * kube-proxy is looked for too.
 *
 * @module
 */

import type { Backend } from "../src/dataplane/iptables/programs.ts";
import { DEFAULT_NODE } from "../src/lab/topology.ts";
import { missingAssets } from "../test/cluster/kubernetes/real_api.ts";
import { RealServer } from "../test/integration/agent/api_server.ts";
import { NodeLab } from "../test/integration/agent/node_lab.ts";
import { kubeProxy, switchyard } from "./cluster/contender.ts";
import { type Figures, measure, type Situation } from "./cluster/measure.ts";
import { PROBES, probeSlice, service, SERVING, slice } from "./cluster/objects.ts";
import type { BenchMode, BenchOptions } from "./options.ts";
import { comparedRow, median, plainRow, type Row } from "./report.ts";

const CREATORS = 16;

/** Runs the benchmark; rows of kube-proxy are left out where it is not to be had. */
export async function run(options: BenchOptions): Promise<Row[]> {
  const { rounds, seconds, services, backend, mode = "iptables" } = options;
  const reason = missingAssets();
  if (reason !== null) throw new Error(`no API server to measure with: ${reason}`);
  const rows: Row[] = [];
  using programs = backend === undefined ? null : new ProgramFolder(backend);
  for (const size of services) {
    await using lab = await NodeLab.start();
    await using api = await RealServer.start();
    await lab.serve([{
      name: "backend",
      hostname: "backend",
      addresses: [SERVING],
      ports: [{ protocol: "TCP", port: 8080 }],
    }]);
    await createNode(api);
    await create(api, size);
    rows.push(
      ...await rounded(
        { lab, api, services: size, seconds, programs: programs?.path ?? null },
        mode,
        rounds,
      ),
    );
  }
  return rows;
}

/** iptables and its siblings, by one backend, in a folder of their own. */
class ProgramFolder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "switchyard-bench-" });

  constructor(backend: Backend) {
    for (const family of ["iptables", "ip6tables"]) {
      for (const verb of ["", "-save", "-restore"]) {
        Deno.symlinkSync(`/usr/sbin/xtables-${backend}-multi`, `${this.path}/${family}${verb}`);
      }
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** kube-proxy waits half a minute for a Node with an address. */
async function createNode({ api }: RealServer): Promise<void> {
  const { name, addresses } = DEFAULT_NODE;
  await api.request("POST", "/api/v1/nodes", { metadata: { name } });
  await api.request("PATCH", `/api/v1/nodes/${name}/status`, {
    status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
  });
}

async function create(api: RealServer, services: number): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: CREATORS }, async () => {
    while (next < services + PROBES) {
      const index = next++;
      await api.put(service(index));
      await api.put(index < services ? slice(index) : probeSlice(index, true));
    }
  }));
}

async function rounded(situation: Situation, mode: BenchMode, rounds: number): Promise<Row[]> {
  const { lab, api, services } = situation;
  const ours: Figures[] = [];
  const theirs: Figures[] = [];
  const other = kubeProxy(api.kubeconfig, mode);
  for (let round = 0; round < rounds; round++) {
    await lab.cleanup();
    ours.push(await measure(switchyard(api.kubeconfig, mode), situation));
    await lab.cleanup();
    if (other !== null) theirs.push(await measure(other, situation));
  }
  const row = (name: string, unit: string, value: (figures: Figures) => number) => {
    const title = `${name}/${services}`;
    return theirs.length === 0 || theirs.some((figures) => value(figures) === 0)
      ? plainRow(title, unit, ours.map(value))
      : comparedRow(title, unit, ours.map(value), "kube-proxy", theirs.map(value));
  };
  return [
    row("first list to programmed", "s", (figures) => figures.firstSync),
    row("processor time until then", "s", (figures) => figures.startCpu),
    row("memory, at peak", "MiB", (figures) => figures.peak),
    row("memory, at rest", "MiB", (figures) => figures.resting),
    row("processor, idle", "‰", (figures) => figures.idleCpu),
    row("processor, 100 changes/s", "‰", (figures) => figures.busyCpu),
    row("change to client, p50", "ms", ({ latencies }) => median(latencies)),
    row("change to client, p99", "ms", ({ latencies }) => percentile(latencies, 0.99)),
    row("changes made", "1/s", (figures) => figures.rate),
  ];
}

/** The smallest value that this share of all does not exceed. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

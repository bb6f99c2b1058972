/**
 * What iptables or nftables mode costs, beside kube-proxy's own proxier and beside rewriting all rules: the
 * first sync into an empty network namespace, then one endpoint, one new Service and one deleted
 * Service among 1,000, 5,000 or 10,000. Rounds are interleaved, and each contender is a process of
 * its own in a namespace of its own, on the same objects.
 *
 * @module
 */

import { buildKubeProxy, KUBERNETES_VERSION, Unavailable } from "./kube_proxy/build.ts";
import type { BenchOptions } from "./options.ts";
import type { Row } from "./report.ts";
import { Bed, Field } from "./sync_bed.ts";
import { cluster, endpointChange, extraService, type ObjectChange } from "./sync_cluster.ts";
import type { Contender, Reply, Request } from "./sync_contender.ts";
import { SyncFigures, type SyncStep } from "./sync_figures.ts";
import { iptablesTables, NFTABLES } from "./sync_tables.ts";

/**
 * Seconds within which a further round of first syncs, or of rewritings, must be expected to end at
 * one size.
 */
const BUDGET = 90;

/** Runs the benchmark. Needs root and iptables or nft; Go for the comparison with kube-proxy. */
export async function run(options: BenchOptions): Promise<Row[]> {
  if (options.mode === "ipvs") return await (await import("./sync_ipvs.ts")).runIpvs(options);
  const { rounds, services, backend } = options;
  const temporary = await Deno.makeTempDir({ prefix: "switchyard-bench-" });
  try {
    const bed = new Bed(
      options.mode === "nftables" ? NFTABLES : await iptablesTables(backend),
      await kubeProxyIn(temporary),
      // Others' tests on this machine hold the common lock.
      { XTABLES_LOCKFILE: `${temporary}/xtables.lock` },
    );
    const rows: Row[] = [];
    for (const size of services) rows.push(...await measure(bed, size, rounds));
    return [...rows, ...bed.noise()];
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** Adds up what something took, and tells whether once more is likely to stay within the limit. */
class Budget {
  #spent = 0;
  #times = 0;

  constructor(readonly seconds: number) {}

  /** Always once. */
  get allows(): boolean {
    return this.#times === 0 || this.#spent * (1 + 1 / this.#times) <= this.seconds;
  }

  async spend(action: () => Promise<void>): Promise<void> {
    const start = performance.now();
    await action();
    this.#spent += (performance.now() - start) / 1000;
    this.#times++;
  }
}

/** All rows for one number of Services. */
async function measure(bed: Bed, size: number, rounds: number): Promise<Row[]> {
  const figures = new SyncFigures(`${bed.tables.name}, ${size} Services`, bed.tables.program);
  await using field = new Field(bed);
  await measureFirstSyncs(field, size, rounds, figures);
  const rewritings = new Budget(BUDGET);
  for (let round = 0; round < rounds; round++) {
    bed.probe();
    for (const [step, changes] of steps(size, round)) {
      for (const proxy of bed.proxies(round)) {
        const contender = field.get(proxy);
        await contender.send(changes);
        figures.add(step, proxy, await progress(contender, "sync", step));
      }
    }
    const ours = field.get("switchyard");
    for (const step of ["render", "floor"] as const) {
      figures.addAlone(step, await progress(ours, step, step));
    }
    if (bed.canRewrite(size) && rewritings.allows) {
      await rewritings.spend(async () => {
        figures.addAlone("rewrite", await progress(ours, "rewrite", "all rules rewritten"));
      });
    }
  }
  return figures.rows();
}

/** Leaves both running, with their rules in place. */
async function measureFirstSyncs(
  field: Field,
  size: number,
  rounds: number,
  figures: SyncFigures,
): Promise<void> {
  const { bed } = field;
  const proxies = (round: number) =>
    bed.canSyncFirst(size) ? bed.proxies(round) : ["switchyard" as const];
  const budget = new Budget(BUDGET);
  for (let round = 0; round < rounds && budget.allows; round++) {
    bed.probe();
    await budget.spend(async () => {
      for (const proxy of proxies(round)) {
        const contender = await field.restart(proxy);
        await contender.send(cluster(size));
        figures.add("first sync", proxy, await progress(contender, "sync", "first sync"));
      }
    });
  }
  if (bed.kubeProxy === null || bed.canSyncFirst(size)) return;
  await say(
    `kube-proxy's first sync of ${size} Services is left out, because iptables-nft-restore takes ` +
      "minutes for its text: it goes on from the same rules, laid by switchyard",
  );
  await using layer = bed.start("switchyard");
  await layer.send(cluster(size));
  await layer.ask("sync");
  const kubeProxy = await field.restart("kube-proxy", layer);
  await kubeProxy.send(cluster(size));
  await kubeProxy.ask("sync");
}

/** Asks, and shows on stderr what came of it, because a run takes minutes. */
async function progress(contender: Contender, request: Request, title: string): Promise<Reply> {
  const reply = await contender.ask(request);
  const took = `${(reply.seconds * 1000).toFixed(1)} ms, ${reply.lines} lines`;
  await say(`${contender.name}: ${title}: ${took}`);
  return reply;
}

async function say(line: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(line + "\n"));
}

/** The changes of one round, which leave as many Services as there were. */
function steps(size: number, round: number): [SyncStep, ObjectChange[]][] {
  return [
    ["endpoint changed", endpointChange(size, round)],
    ["Service added", extraService(size, "apply")],
    ["Service deleted", extraService(size, "delete")],
  ];
}

/** Builds the comparator, or says in one line why there is none. */
async function kubeProxyIn(temporary: string): Promise<string | null> {
  const directory = `${temporary}/kube-proxy`;
  await Deno.mkdir(directory);
  try {
    return await buildKubeProxy(directory);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    await say(`no comparison with kube-proxy ${KUBERNETES_VERSION}: ${error.message}`);
    return null;
  }
}

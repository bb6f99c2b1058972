/**
 * What ours programs the node with in the sync benchmark, in the network namespace of this process.
 *
 * @module
 */

import { NodeRulesAccess } from "../src/dataplane/iptables/apply.ts";
import { IptablesDataPlane } from "../src/dataplane/iptables/dataplane.ts";
import { DEFAULT_RULE_OPTIONS } from "../src/dataplane/iptables/options.ts";
import { type Backend, ProgramRunner } from "../src/dataplane/iptables/programs.ts";
import { render } from "../src/dataplane/iptables/render.ts";
import { restoreText } from "../src/dataplane/iptables/text.ts";
import { NftablesDataPlane } from "../src/dataplane/nftables/dataplane.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../src/dataplane/nftables/options.ts";
import { render as renderTables } from "../src/dataplane/nftables/render.ts";
import { tablesText } from "../src/dataplane/nftables/structure.ts";
import type { EngineHandle } from "../src/engine/handle.ts";
import type { Plan, PlanChange } from "../src/plan/plan.ts";
import type { TablesName } from "./sync_tables.ts";

/** A data plane for IPv4, and its rules as text. */
export interface Plane {
  /** `--nodeport-addresses` that kube-proxy has in this mode. */
  readonly nodePortAddresses: readonly string[];
  /** Brings the node to a plan; resolves with the number of lines that it sent. */
  sync(plan: Plan, change: PlanChange): Promise<number>;
  /** All rules of a plan, as input of a program that has them take the place of those there are. */
  text(plan: Plan): string;
  countLines(text: string): number;
  /** Gives a text to the program. */
  restore(text: string): Promise<void>;
  /** Something new with one rule, and how it goes again. */
  readonly oneRule: { readonly text: string; readonly undone: string };
  stop(): Promise<void>;
}

/** kube-proxy has no engine, so that ours is left out of the comparison. */
const NO_ENGINE = { apply: () => Promise.resolve() } as Partial<EngineHandle> as EngineHandle;

/** Of 10,000 Services, nf_tables takes longer than the data plane would wait. */
const REWRITE_TIMEOUT_MS = 3_600_000;

/**
 * Starts one. As of kube-proxy, what it does once in a while is left out: looking after the node, and
 * comparing all rules once more after the start.
 */
export function startPlane(name: TablesName): Promise<Plane> {
  return name === "nftables" ? startNftables() : startIptables(name);
}

async function startIptables(backend: Backend): Promise<Plane> {
  let lines = 0;
  const dataPlane = await IptablesDataPlane.start({
    engine: NO_ENGINE,
    families: ["IPv4"],
    backend,
    canaryPeriodMs: 0,
    confirmationMs: 0,
    synced: (syncs) => lines = syncs.reduce((sum, one) => sum + one.lines, 0),
  });
  const runner = new ProgramRunner(null, REWRITE_TIMEOUT_MS);
  const access = new NodeRulesAccess(runner, dataPlane.programs);
  return {
    nodePortAddresses: [],
    async sync(plan, change) {
      await dataPlane.sync(plan, change);
      return lines;
    },
    text: (plan) => restoreText(render(plan, "IPv4", DEFAULT_RULE_OPTIONS).rules),
    countLines: (text) => text.match(/^[-:]/gm)?.length ?? 0,
    restore: async (text) => void await access.restore("IPv4", text),
    // nf_tables looks at the whole table for it, but not when it goes again at once.
    oneRule: {
      text: "*nat\n:BENCH - [0:0]\n-A BENCH -j ACCEPT\nCOMMIT\n",
      undone: "*nat\n-F BENCH\n-X BENCH\nCOMMIT\n",
    },
    stop: () => dataPlane.stop(),
  };
}

async function startNftables(): Promise<Plane> {
  let lines = 0;
  const dataPlane = await NftablesDataPlane.start({
    engine: NO_ENGINE,
    families: ["IPv4"],
    watchPeriodMs: 0,
    confirmationMs: 0,
    synced: (syncs) => lines = syncs.reduce((sum, one) => sum + one.lines, 0),
  });
  const runner = new ProgramRunner(null, REWRITE_TIMEOUT_MS);
  const renew = "table ip kube-proxy {}\ndelete table ip kube-proxy\n";
  return {
    nodePortAddresses: DEFAULT_NFTABLES_OPTIONS.nodePortAddresses,
    async sync(plan, change) {
      await dataPlane.sync(plan, change);
      return lines;
    },
    text: (plan) =>
      renew + tablesText([renderTables(plan, "IPv4", DEFAULT_NFTABLES_OPTIONS).rules]),
    countLines: (text) => text.match(/\n/g)?.length ?? 0,
    async restore(text) {
      const { code, stderr } = await runner.run("nft", ["-f", "-"], text);
      if (code !== 0) throw new Error(`nft -f: ${stderr.split("\n")[0]}`);
    },
    oneRule: {
      text: "add chain ip kube-proxy bench\nadd rule ip kube-proxy bench accept\n",
      undone: "flush chain ip kube-proxy bench\ndelete chain ip kube-proxy bench\n",
    },
    stop: () => dataPlane.stop(),
  };
}

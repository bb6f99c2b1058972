/**
 * A lab as the `lab` command runs it: like the cluster that a source describes, and found by
 * `lab exec`.
 *
 * ```ts
 * const privileges = obtainPrivileges();              // first of all: may start the program again
 * const lab = await startLab({ … });
 * const dataPlane = await UserspaceDataPlane.start({ namespaceFd: lab.nodeNamespaceFd });
 * // An agent with the source `lab.follow(source)`, whose pods go to `lab.setPods`; once synced:
 * const { lines } = await lab.report(agent.plan, width);
 * await agent.stop(); await lab.stop();
 * ```
 *
 * @module
 */

import type { Pod } from "../cluster/objects.ts";
import type { ClusterSource } from "../cluster/source.ts";
import type { Plan } from "../plan/plan.ts";
import { ClusterLab } from "./cluster_lab.ts";
import { Lab } from "./lab.ts";
import { type Report, report } from "./report.ts";
import { readState, removeState, STATE_VARIABLE, writeState } from "./state.ts";
import type { LabNode } from "./topology.ts";
import { messageOf } from "../errors.ts";

/** How to run the lab. */
export interface RunLabOptions {
  /** The node (default: the lab's own). */
  readonly node?: LabNode;
  /** As {@link obtainPrivileges} says. */
  readonly userNamespace: boolean;
  /** Is told the servers that cannot be had *now*, a line each, when they are others than before. */
  problems(lines: readonly string[]): void;
}

/** The lab that runs. */
export interface LabRun {
  readonly lab: Lab;
  /** The process's descriptor of the node's namespace. */
  readonly nodeNamespaceFd: number;
  /** See {@link ClusterLab.follow}. */
  follow(source: ClusterSource): ClusterSource;
  /** See {@link ClusterLab.setPods}. */
  setPods(pods: readonly Pod[]): void;
  /** See {@link ClusterLab.settled}. */
  settled(): Promise<void>;
  /** Asks every frontend of a plan that is in force; the table is at most `width` columns wide. */
  report(plan: Plan, width: number): Promise<Report>;
  /** Takes everything away. Stop the data plane first. */
  stop(): Promise<void>;
}

/** Starts it. Rejects when another lab of this user runs, or the kernel refuses. */
export async function startLab(options: RunLabOptions): Promise<LabRun> {
  const other = readState();
  if (other !== null) {
    throw new Error(
      `a lab is already running (process ${other.pid}); end it first, ` +
        `or set ${STATE_VARIABLE} to another file for a second one`,
    );
  }
  let unwritten: string | null = null;
  const lab = await Lab.start({
    node: options.node,
    changed(namespaces) {
      const byName = namespaces.map(({ name, fd, addresses }) => [name, { fd, addresses }]);
      try {
        writeState(Object.fromEntries(byName), options.userNamespace);
      } catch (error) {
        // The lab works without, so this is told and does not end it.
        if (unwritten !== null) return;
        unwritten = messageOf(error);
        options.problems([`lab exec will not find this lab: ${unwritten}`]);
      }
    },
  });
  const cluster = new ClusterLab(lab, { problems: (lines) => options.problems(lines) });
  return {
    lab,
    nodeNamespaceFd: lab.nodeNamespaceFd,
    follow: (source) => cluster.follow(source),
    setPods: (pods) => cluster.setPods(pods),
    settled: () => cluster.settled(),
    async report(plan, width) {
      await cluster.settled();
      return await report(lab, [...plan.services.values()], plan.node, lab.clients, width);
    },
    async stop() {
      removeState();
      await cluster.stop();
      await lab.stop();
    },
  };
}

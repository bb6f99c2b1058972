/**
 * The data plane for a node: that of the mode which was asked for, or of the best that works there.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Config } from "../config/config.ts";
import type { DataPlane } from "../dataplane/dataplane.ts";
import { cleanupIptables } from "../dataplane/iptables/cleanup.ts";
import { IptablesDataPlane } from "../dataplane/iptables/dataplane.ts";
import { ProgramRunner } from "../dataplane/iptables/programs.ts";
import { tryIptables } from "../dataplane/iptables/trial.ts";
import { cleanupUserspace } from "../dataplane/userspace/cleanup.ts";
import { UserspaceDataPlane } from "../dataplane/userspace/dataplane.ts";
import { LocalEngine } from "../engine/local.ts";
import { NetworkNamespace } from "../linux/namespace.ts";
import type { Family } from "../net/address.ts";
import { checkMode } from "./mode.ts";
import { ruleOptions } from "./options.ts";
import { messageOf } from "../errors.ts";

const logger = getLogger(["switchyard", "run"]);

/** Where the data plane is to be. */
export interface NodeAccess {
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Why iptables mode is out of the question; null: it may be tried. */
  readonly noIptables: string | null;
}

/** A data plane that is ready to be synced. */
export interface OpenDataPlane {
  readonly dataPlane: DataPlane;
  /** Which mode it is, and why, when nobody asked for it by name: one line. */
  readonly note: string | null;
  /** Takes who is to be told that a sync is needed though nothing in the cluster has changed. */
  onSyncNeeded(request: () => void): void;
}

/**
 * Opens the data plane, and takes off the node what one of another mode left there, as kube-proxy
 * does, because packets would take the other's way first. Rejects with
 * one line when the node refuses, and with a UsageError when the mode and the flags don't go
 * together.
 */
export async function openDataPlane(config: Config, node: NodeAccess): Promise<OpenDataPlane> {
  switch (config.proxyMode) {
    case "iptables":
      if (node.noIptables !== null) throw new Error(node.noIptables);
      return await openIptables(config, node, config.families, null);
    case null: {
      const { families, reason } = await iptablesFamilies(config, node);
      if (families.length > 0) {
        const note = `proxy mode iptables${reason === null ? "" : `, not all of it: ${reason}`}`;
        return await openIptables(config, node, families, note);
      }
      return await openUserspace(config, node, `proxy mode userspace, as ${reason}`);
    }
    default:
      checkMode(config, config.proxyMode);
      return await openUserspace(config, node, null);
  }
}

/** Families in which iptables mode would work, and why not in all. */
async function iptablesFamilies(
  config: Config,
  node: NodeAccess,
): Promise<{ readonly families: readonly Family[]; readonly reason: string | null }> {
  if (node.noIptables !== null) return { families: [], reason: node.noIptables };
  try {
    const { usable, problems } = await tryIptables(runnerFor(node), config.families);
    return { families: usable, reason: problems.length === 0 ? null : problems.join("; ") };
  } catch (error) {
    return { families: [], reason: messageOf(error) };
  }
}

function runnerFor({ namespaceFd }: NodeAccess): ProgramRunner {
  return new ProgramRunner(
    namespaceFd === undefined ? null : NetworkNamespace.fromFd(namespaceFd),
  );
}

async function openIptables(
  config: Config,
  node: NodeAccess,
  families: readonly Family[],
  note: string | null,
): Promise<OpenDataPlane> {
  let request = () => {};
  const dataPlane = await IptablesDataPlane.start({
    engine: LocalEngine.create(),
    families,
    rules: ruleOptions(config),
    namespaceFd: node.namespaceFd,
    canaryPeriodMs: config.iptablesSync.periodMs,
    requestSync: () => request(),
  });
  warn(runnerFor(node).inside(cleanupUserspace));
  return {
    dataPlane,
    note,
    onSyncNeeded(given) {
      request = given;
    },
  };
}

async function openUserspace(
  config: Config,
  node: NodeAccess,
  note: string | null,
): Promise<OpenDataPlane> {
  checkMode(config, "userspace");
  const dataPlane = await UserspaceDataPlane.start({ namespaceFd: node.namespaceFd });
  // Where iptables cannot be used there is nothing that it could clean up.
  if (config.proxyMode !== null && node.noIptables === null) {
    warn(await cleanupIptables(runnerFor(node)));
  }
  return { dataPlane, note, onSyncNeeded() {} };
}

function warn(failures: readonly string[]): void {
  for (const failure of failures) {
    logger.warn("what another mode left is still there: {failure}", { failure });
  }
}

/**
 * The data plane for a node: that of the mode which was asked for, or of the best that works there.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Config } from "../config/config.ts";
import type { DataPlane } from "../dataplane/dataplane.ts";
import { IptablesDataPlane } from "../dataplane/iptables/dataplane.ts";
import { ProgramRunner } from "../dataplane/iptables/programs.ts";
import { type Trial, tryIptables } from "../dataplane/iptables/trial.ts";
import { IpvsDataPlane } from "../dataplane/ipvs/dataplane.ts";
import { tryIpvs } from "../dataplane/ipvs/trial.ts";
import { NftablesDataPlane } from "../dataplane/nftables/dataplane.ts";
import { UserspaceDataPlane } from "../dataplane/userspace/dataplane.ts";
import { LocalEngine } from "../engine/local.ts";
import { WitnessEngine } from "../engine/witness.ts";
import { NetworkNamespace } from "../linux/namespace.ts";
import type { Family } from "../net/address.ts";
import { engineLimits } from "./engine_limits.ts";
import { cleanupModes } from "./leftovers.ts";
import { checkMode } from "./mode.ts";
import { ipvsOptions, nftablesOptions, ruleOptions } from "./options.ts";
import { messageOf } from "../errors.ts";

const logger = getLogger(["switchyard", "run"]);

/** Where the data plane is to be. */
export interface NodeAccess {
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Why no program can be run on the node, as iptables is; null: it may be tried. */
  readonly noPrograms: string | null;
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
      if (node.noPrograms !== null) throw new Error(node.noPrograms);
      return await openIptables(config, node, config.families, null);
    case "ipvs": {
      checkMode(config, "ipvs");
      const { families, reason } = await familiesOf(
        node,
        (runner) => tryIpvs(runner, config.families, config.scheduler ?? "rr"),
      );
      if (families.length > 0) {
        const note = reason === null ? null : `proxy mode ipvs, not all of it: ${reason}`;
        return await openIpvs(config, node, families, note);
      }
      const why = `ipvs mode does not work here: ${reason}`;
      if (config.strictMode) throw new Error(why);
      return await openBest(config, node, why);
    }
    case "nftables":
      checkMode(config, "nftables");
      if (node.noPrograms !== null) throw new Error(node.noPrograms);
      return await openNftables(config, node);
    case null:
      return await openBest(config, node, null);
    default:
      checkMode(config, config.proxyMode);
      return await openUserspace(config, node, null);
  }
}

/** iptables mode where it works, else userspace mode. */
async function openBest(
  config: Config,
  node: NodeAccess,
  why: string | null,
): Promise<OpenDataPlane> {
  const { families, reason } = await familiesOf(
    node,
    (runner) => tryIptables(runner, config.families),
  );
  if (families.length > 0) {
    const cause = why === null ? "" : `, as ${why}`;
    const rest = reason === null ? "" : `${why === null ? "," : ";"} not all of it: ${reason}`;
    return await openIptables(config, node, families, `proxy mode iptables${cause}${rest}`);
  }
  const causes = [why, why?.endsWith(`${reason}`) ? null : reason]
    .filter((cause) => cause !== null).join("; ");
  return await openUserspace(config, node, `proxy mode userspace, as ${causes}`);
}

/** Families in which a mode with rules would work, and why not in all. */
async function familiesOf(
  node: NodeAccess,
  tryMode: (runner: ProgramRunner) => Promise<Trial>,
): Promise<{ readonly families: readonly Family[]; readonly reason: string | null }> {
  if (node.noPrograms !== null) return { families: [], reason: node.noPrograms };
  try {
    const { usable, problems } = await tryMode(runnerFor(node));
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

/** Opens a data plane that may ask for a sync, of whom {@link OpenDataPlane.onSyncNeeded} is told. */
async function openRequesting(
  note: string | null,
  start: (requestSync: () => void) => Promise<DataPlane>,
): Promise<OpenDataPlane> {
  let request = () => {};
  return {
    dataPlane: await start(() => request()),
    note,
    onSyncNeeded(given) {
      request = given;
    },
  };
}

async function openIptables(
  config: Config,
  node: NodeAccess,
  families: readonly Family[],
  note: string | null,
): Promise<OpenDataPlane> {
  const opened = await openRequesting(note, (requestSync) =>
    IptablesDataPlane.start({
      engine: new WitnessEngine(),
      families,
      rules: ruleOptions(config),
      namespaceFd: node.namespaceFd,
      canaryPeriodMs: config.iptablesSync.periodMs,
      requestSync,
    }));
  warn(await cleanupModes(runnerFor(node), ["ipvs", "nftables", "userspace"]));
  return opened;
}

/** The rules of iptables mode give way in the first sync. */
async function openIpvs(
  config: Config,
  node: NodeAccess,
  families: readonly Family[],
  note: string | null,
): Promise<OpenDataPlane> {
  const { excludeCIDRs, strictARP, gracefulDeadlineMs } = config.ipvs;
  const opened = await openRequesting(note, (requestSync) =>
    IpvsDataPlane.start({
      // It follows every change, as hashing schedulers go by the order in which servers came.
      engine: LocalEngine.create(),
      families,
      node: config.nodeName,
      rendering: ipvsOptions(config),
      excludeCIDRs,
      strictARP,
      gracefulDeadlineMs,
      leavingFile: leavingFile(config, node),
      timeouts: {
        tcp: Math.round(config.ipvs.tcpTimeoutMs / 1000),
        tcpFin: Math.round(config.ipvs.tcpFinTimeoutMs / 1000),
        udp: Math.round(config.ipvs.udpTimeoutMs / 1000),
      },
      namespaceFd: node.namespaceFd,
      watchPeriodMs: config.ipvsSync.periodMs,
      requestSync,
    }));
  warn(await cleanupModes(runnerFor(node), ["nftables", "userspace"]));
  return opened;
}

async function openNftables(config: Config, node: NodeAccess): Promise<OpenDataPlane> {
  const opened = await openRequesting(null, (requestSync) =>
    NftablesDataPlane.start({
      engine: new WitnessEngine(),
      families: config.families,
      rules: nftablesOptions(config),
      namespaceFd: node.namespaceFd,
      watchPeriodMs: config.iptablesSync.periodMs,
      requestSync,
    }));
  warn(await cleanupModes(runnerFor(node), ["ipvs", "iptables", "userspace"]));
  return opened;
}

/** Beside the history, or else where it lasts as long as the node's connections; never the lab's. */
function leavingFile({ stateDir }: Config, { namespaceFd }: NodeAccess): string | null {
  if (namespaceFd !== undefined) return null;
  return `${stateDir ?? "/run/switchyard"}/ipvs-leaving.json`;
}

async function openUserspace(
  config: Config,
  node: NodeAccess,
  note: string | null,
): Promise<OpenDataPlane> {
  checkMode(config, "userspace");
  const opened = await openRequesting(note, (requestSync) =>
    UserspaceDataPlane.start({
      namespaceFd: node.namespaceFd,
      tracking: engineLimits(config.conntrack),
      watchPeriodMs: config.iptablesSync.periodMs,
      requestSync,
    }));
  // Where programs cannot be used there is nothing that they could clean up.
  if (node.noPrograms === null) {
    const named = config.proxyMode === "userspace";
    warn(
      await cleanupModes(
        runnerFor(node),
        named ? ["ipvs", "iptables", "nftables"] : ["ipvs", "nftables"],
      ),
    );
  }
  return opened;
}

function warn(failures: readonly string[]): void {
  for (const failure of failures) {
    logger.warn("what another mode left is still there: {failure}", { failure });
  }
}

/**
 * Takes ipvs mode, ours or kube-proxy's, off a node: virtual servers, kube-ipvs0, chains, and sets.
 *
 * kube-proxy removes every virtual server of the node. Here those stay that are not at an address of
 * kube-ipvs0 or its set, nor at a node port of ours: see `readNode`.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { close, ERRNO, libc, O_RDONLY, open, SystemError } from "../../linux/libc.ts";
import { FAMILIES, type Family } from "../../net/address.ts";
import { NetlinkError } from "../../netlink/error.ts";
import { Ipset } from "../../netlink/netfilter/ipset.ts";
import { Rtnetlink } from "../../netlink/route/rtnetlink.ts";
import { NodeRulesAccess, type RulesAccess } from "../iptables/apply.ts";
import { hasLegacyTables, installedPrograms, type ProgramRunner } from "../iptables/programs.ts";
import { transactionText } from "../iptables/transaction_text.ts";
import { type Kernel, NetlinkKernel } from "./kernel.ts";
import { FORMER_SETS, SET_IDS, setName } from "./names.ts";
import { readNode } from "./read.ts";
import { diffRulesCleanup, hasIpvsChains, readTables } from "./rules.ts";
import { serverId } from "./servers.ts";
import { DUMMY_DEVICE } from "./state.ts";

/** What ipvs mode left, as far as a look without changing anything tells. */
export function hasIpvsLeftovers(runner: ProgramRunner): boolean {
  return runner.inside(() => {
    using net = Rtnetlink.open();
    if (net.links.get(DUMMY_DEVICE) !== null) return true;
    // Only asking would load the module.
    if (!isThere("/sys/module/ip_set")) return false;
    try {
      using ipset = Ipset.open();
      const ours = new Set(setNames());
      return ipset.names().some((name) => ours.has(name));
    } catch (error) {
      // A kernel without ipset has nothing of ours in it.
      if (error instanceof NetlinkError) return false;
      throw error;
    }
  });
}

/** Deno's own file functions would ask for all permissions below /sys. */
function isThere(path: string): boolean {
  libc();
  try {
    close(open(path, O_RDONLY));
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return false;
    throw error;
  }
}

/**
 * Cleans a node up in both families. Goes on after a failure; returns what failed, one line each.
 * Where there is neither kube-ipvs0 nor a set of ours, nothing is looked at any further.
 */
export async function cleanupIpvs(runner: ProgramRunner): Promise<string[]> {
  if (!hasIpvsLeftovers(runner)) return [];
  const failures: string[] = [];
  const attempt = async (fn: () => unknown) => {
    try {
      await fn();
    } catch (error) {
      failures.push(messageOf(error));
    }
  };
  await attempt(() =>
    runner.inside(() => {
      using kernel = NetlinkKernel.open();
      for (const family of FAMILIES) removeServers(kernel, family);
    })
  );
  await attempt(() => runner.inside(removeDevice));
  for (const programs of await installedPrograms(runner)) {
    if (programs.backend === "legacy" && !hasLegacyTables(runner)) continue;
    const access = new NodeRulesAccess(runner, programs);
    for (const family of FAMILIES) await attempt(() => removeRules(access, family));
  }
  await attempt(() => runner.inside(removeSets));
  return failures;
}

const NO_RULES = {
  filter: { own: new Map(), others: new Map() },
  nat: { own: new Map(), others: new Map() },
  mangle: { own: new Map(), others: new Map() },
};

function removeServers(kernel: Kernel, family: Family): void {
  const { servers } = readNode(kernel, NO_RULES, family, { known: new Set(), excluded: [] });
  const results = kernel.changeServers(
    [...servers.values()].map(({ key }) => ({ verb: "remove", server: serverId(key, family) })),
  );
  const refused = results.find((result) => result !== null);
  if (refused) throw refused;
}

function removeDevice(): void {
  using net = Rtnetlink.open();
  if (net.links.get(DUMMY_DEVICE) !== null) net.links.delete(DUMMY_DEVICE);
}

async function removeRules(access: RulesAccess, family: Family): Promise<void> {
  const node = readTables(await access.read(family), family);
  if (!hasIpvsChains(node)) return;
  const text = transactionText(diffRulesCleanup(node, family), access.chainLimit);
  if (text !== null) await access.restore(family, text);
}

/** Sets that rules of others use stay. */
function removeSets(): void {
  using ipset = Ipset.open();
  const there = new Set(ipset.names());
  const refused: string[] = [];
  for (const name of setNames()) {
    if (!there.has(name)) continue;
    try {
      ipset.destroy(name);
    } catch (error) {
      refused.push(messageOf(error));
    }
  }
  if (refused.length > 0) throw new Error(refused.join("; "));
}

/** Every name that a set of ipvs mode has, or had in former versions of kube-proxy. */
function setNames(): string[] {
  return [
    ...FAMILIES.flatMap((family) => SET_IDS.map((id) => setName(id, family))),
    ...FORMER_SETS,
  ];
}

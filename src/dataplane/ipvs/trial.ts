/**
 * Whether a node takes what ipvs mode needs: IPVS with the scheduler, ipset, a dummy device, and
 * rules about sets, each tried and removed again.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { ERRNO } from "../../linux/errno.ts";
import type { Family } from "../../net/address.ts";
import { Ipvs } from "../../netlink/generic/ipvs.ts";
import { Ipset } from "../../netlink/netfilter/ipset.ts";
import { Rtnetlink } from "../../netlink/route/rtnetlink.ts";
import { NodeRulesAccess } from "../iptables/apply.ts";
import { detectPrograms, type ProgramRunner } from "../iptables/programs.ts";
import { chainLine } from "../iptables/text.ts";
import type { Trial } from "../iptables/trial.ts";
import { DUMMY_DEVICE } from "./state.ts";

/** Where kube-proxy, too, tries its scheduler: an address of documentation (RFC 5737). */
const TRIAL_SERVER = { address: "198.51.100.0", port: 20000, protocol: 6 } as const;
const TRIAL_CHAIN = "SWITCHYARD-TRIAL";
const TRIAL_SETS = { IPv4: "SWITCHYARD-TRIAL", IPv6: "SWITCHYARD-6-TRIAL" } as const;
const TRIAL_DEVICE = "swy-trial0";

/**
 * Tries ipvs mode. Needs CAP_NET_ADMIN in the first user namespace; rejects with one line when it
 * works in no family.
 */
export async function tryIpvs(
  runner: ProgramRunner,
  families: readonly Family[],
  scheduler: string,
): Promise<Trial> {
  runner.inside(() => {
    using ipvs = Ipvs.open();
    if (!hasScheduler(ipvs, scheduler)) {
      throw new Error(`the kernel's IPVS has no scheduler ${scheduler}`);
    }
    tryDevice();
  });
  const access = new NodeRulesAccess(runner, await detectPrograms(runner));
  const usable: Family[] = [];
  const problems: string[] = [];
  for (const family of families) {
    try {
      await tryFamily(runner, access, family);
      usable.push(family);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (usable.length === 0) throw new Error(problems.join("; "));
  return { usable, problems };
}

/** A set and rules about it; both are removed also when only some of that was taken. */
async function tryFamily(
  runner: ProgramRunner,
  access: NodeRulesAccess,
  family: Family,
): Promise<void> {
  const set = TRIAL_SETS[family];
  const remove = async () => {
    try {
      await access.restore(family, removalText());
    } finally {
      runner.inside(() => withIpset((ipset) => ipset.destroy(set)));
    }
  };
  // Left by a trial that was cut off.
  if (runner.inside(() => withIpset((ipset) => ipset.names().includes(set)))) await remove();
  runner.inside(() => withIpset((ipset) => ipset.create(setSpec(set, family))));
  try {
    await access.restore(family, rulesText(set));
  } finally {
    await remove();
  }
}

/** Whether the kernel has a scheduler, or a module of it: a server with it is made and removed. */
export function hasScheduler(ipvs: Ipvs, scheduler: string): boolean {
  const [refused] = ipvs.apply([{ verb: "add", server: { ...TRIAL_SERVER, scheduler } }]);
  // Left by a trial that was cut off.
  if (refused?.errno === ERRNO.EEXIST) {
    ipvs.change({ verb: "update", server: { ...TRIAL_SERVER, scheduler } });
  } else if (refused?.errno === ERRNO.ENOENT) return false;
  else if (refused !== null) throw refused;
  ipvs.change({ verb: "remove", server: TRIAL_SERVER });
  return true;
}

function tryDevice(): void {
  using net = Rtnetlink.open();
  if (net.links.get(DUMMY_DEVICE) !== null) return;
  if (net.links.get(TRIAL_DEVICE) !== null) net.links.delete(TRIAL_DEVICE);
  net.links.createDummy({ name: TRIAL_DEVICE });
  net.links.delete(TRIAL_DEVICE);
}

function withIpset<T>(fn: (ipset: Ipset) => T): T {
  using ipset = Ipset.open();
  return fn(ipset);
}

function setSpec(name: string, family: Family) {
  return { name, type: "hash:ip,port", family } as const;
}

/** Every match and target that rules of ipvs mode have and iptables mode's trial has not. */
function rulesText(set: string): string {
  const match = `-m set --match-set ${set} dst,dst`;
  return [
    "*nat",
    chainLine(TRIAL_CHAIN),
    `-A ${TRIAL_CHAIN} -m comment --comment trial ${match} -j MARK --or-mark 0x1`,
    `-A ${TRIAL_CHAIN} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT`,
    `-A ${TRIAL_CHAIN} ${match} -j MASQUERADE`,
    "COMMIT",
    "*filter",
    chainLine(TRIAL_CHAIN),
    `-A ${TRIAL_CHAIN} -p tcp -m conntrack --ctstate NEW ${match} -j REJECT --reject-with tcp-reset`,
    `-A ${TRIAL_CHAIN} -m ipvs --vproto tcp --vport 1 -j DROP`,
    "COMMIT",
    "",
  ].join("\n");
}

function removalText(): string {
  return ["nat", "filter"].flatMap((table) => [
    `*${table}`,
    chainLine(TRIAL_CHAIN),
    `-X ${TRIAL_CHAIN}`,
    "COMMIT",
  ]).join("\n") + "\n";
}

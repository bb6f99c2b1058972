/**
 * Has the kernel forget stale UDP flows, by ctnetlink.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import type { Family } from "../../net/address.ts";
import { Conntrack } from "../../netlink/netfilter/conntrack.ts";
import type { Plan } from "../../plan/plan.ts";
import { IPPROTO_UDP, servesUdp, staleUdp } from "./stale_udp.ts";

/**
 * Deletes the stale flows of this thread's namespace; the next datagram of each is sent anew. Other
 * protocols are left out by the kernel already. Returns how many it were.
 *
 * @throws {NetlinkError} when the kernel does not tell its flows, or, after all were tried, when it
 * refuses to delete one.
 */
export function forgetStaleUdp(plan: Pick<Plan, "services">, families: readonly Family[]): number {
  // Even an empty table takes the kernel tens of milliseconds to go through.
  const concerned = families.filter((family) => servesUdp(plan, family));
  if (concerned.length === 0) return 0;
  using conntrack = Conntrack.open();
  const stale = concerned.flatMap((family) =>
    staleUdp(plan, family, conntrack.list({ family, protocol: IPPROTO_UDP }))
  );
  const results = conntrack.deleteAll(stale);
  // Some may have ended by themselves.
  const refused = results.find((result) => result !== null && result.errno !== ERRNO.ENOENT);
  if (refused) throw refused;
  return results.filter((result) => result === null).length;
}

/**
 * Takes off a node what userspace mode left there when its process was killed: policy rules, which
 * lead nowhere then, and ports that it reserved. Its device and routes have gone with it.
 *
 * @module
 */

import { NODE_PORT_RANGE } from "../../cluster/control/node_ports.ts";
import { messageOf } from "../../errors.ts";
import { readSysctl } from "../../linux/sysctl.ts";
import { FAMILIES } from "../../net/address.ts";
import { Rtnetlink } from "../../netlink/route/rtnetlink.ts";
import { MASQUERADE_PORTS } from "./render.ts";
import { releasePorts } from "./reserved_ports.ts";
import { removeRules } from "./routing.ts";

/**
 * Cleans up this thread's namespace. Goes on after a failure; returns what failed, one line each.
 * Needs CAP_NET_ADMIN where there is something to remove.
 */
export function cleanupUserspace(): string[] {
  using net = Rtnetlink.open();
  const hasIPv6 = readSysctl("net.ipv6.conf.all.disable_ipv6") !== null;
  const failures: string[] = [];
  for (const family of FAMILIES) {
    if (family === "IPv6" && !hasIPv6) continue;
    try {
      removeRules(net, family);
    } catch (error) {
      failures.push(`${family} policy rules: ${messageOf(error)}`);
    }
  }
  try {
    releasePorts([NODE_PORT_RANGE, MASQUERADE_PORTS]);
  } catch (error) {
    failures.push(`reserved ports: ${messageOf(error)}`);
  }
  return failures;
}

/**
 * Base chains as the kernel has them, and back.
 *
 * @module
 */

import type { Hook } from "../../../netlink/netfilter/nftables/objects.ts";
import type { BaseChain, HookName, TableFamily } from "../language/ast.ts";

/** NF_INET_*, by number. */
const HOOKS: readonly HookName[] = ["prerouting", "input", "forward", "output", "postrouting"];

/** Where a chain stands. */
export function compileBase({ type, hook, priority, policy, devices }: BaseChain): Hook {
  const number = HOOKS.indexOf(hook);
  if (number < 0) throw new TypeError(`no hook of the families ip and ip6: ${hook}`);
  return { type, number, priority, policy, ...(devices.length === 0 ? {} : { devices }) };
}

/** Of family inet besides (NF_INET_INGRESS), and those of netdev (NF_NETDEV_*). */
const INET_HOOKS: readonly HookName[] = [...HOOKS, "ingress"];
const LINK_HOOKS: readonly HookName[] = ["ingress", "egress"];

/** What makes a chain of the kernel's a base chain; null if it is none. */
export function decompileBase(hook: Hook | undefined, family: TableFamily): BaseChain | null {
  if (hook === undefined) return null;
  const names = family === "netdev" ? LINK_HOOKS : family === "inet" ? INET_HOOKS : HOOKS;
  const { type, number, priority, policy, devices = [] } = hook;
  return {
    type: type as BaseChain["type"],
    hook: names[number] ?? `hook ${number}` as HookName,
    priority,
    policy,
    devices,
  };
}

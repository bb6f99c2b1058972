/**
 * What of a node's routing is userspace mode's: its tables, priorities and devices, and the rules by
 * which an earlier run is known.
 *
 * @module
 */

import { TABLE_LOCAL } from "../../netlink/route/names.ts";
import type { Rule } from "../../netlink/route/rules.ts";

/** Routing tables of userspace mode. */
export const SERVICE_TABLE = 10256;
export const CAPTURE_TABLE = 10257;

/** Of the policy rules. */
export const PRIORITY = { fromDevice: 80, services: 90, captures: 91, local: 99 } as const;
/**
 * Who made our rules and routes, as others are told. systemd-networkd removes whatever it does not
 * know, whenever a link of its own appears, but what is the kernel's: without its rule for the local
 * table the node would be cut off.
 */
export const ORIGIN = "kernel";
/** Names of the devices; the kernel puts a number. */
export const DEVICE_NAME = "switchyard%d";

/** Whether a rule is userspace mode's, of this run or an earlier one. */
export function isOwnRule(rule: Rule): boolean {
  switch (rule.priority) {
    case PRIORITY.fromDevice:
      return rule.action === "goto" && OWN_DEVICE.test(rule.inputName ?? "");
    case PRIORITY.services:
      return looksUp(rule, SERVICE_TABLE);
    case PRIORITY.captures:
      return looksUp(rule, CAPTURE_TABLE);
    case PRIORITY.local:
      return looksUp(rule, TABLE_LOCAL);
    default:
      return false;
  }
}

/** What {@link DEVICE_NAME} becomes. */
const OWN_DEVICE = new RegExp(`^${DEVICE_NAME.replace("%d", "\\d+")}$`);

/** Whether a rule has the search go on in a table. */
export function looksUp(rule: Rule, table: number): boolean {
  return rule.action === "lookup" && rule.table === table;
}

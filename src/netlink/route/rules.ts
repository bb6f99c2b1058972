/**
 * Policy routing rules by rtnetlink: which routing table a packet is looked up in.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import type { Family } from "../../net/address.ts";
import { familyName, familyNumber } from "../family.ts";
import { type Message, NetlinkError, NLM_F_CREATE, NLM_F_EXCL, type Request } from "../message.ts";
import type { NetlinkSocket } from "../socket.ts";
import { RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE, RULE } from "./formats.ts";
import {
  networkText,
  type Origin,
  ORIGINS,
  requireNetwork,
  RULE_ACTIONS,
  type RuleAction,
  tableField,
} from "./names.ts";

/** FIB_RULE_INVERT. */
const INVERT = 2;

/** Ports from … to, both included. */
export interface PortRange {
  readonly start: number;
  readonly end: number;
}

/** A rule; what is not given matches everything. */
export interface RuleSpec {
  readonly family: Family;
  /** The lowest is looked at first; 0 is that of the local table unless it was moved. */
  readonly priority: number;
  /** Default "lookup", which needs `table`. */
  readonly action?: RuleAction;
  readonly table?: number;
  /** Action "goto": the priority, higher than this rule's, at which the search goes on. */
  readonly target?: number;
  /** "address/prefix". */
  readonly source?: string;
  readonly destination?: string;
  /** Name of the link that the packet came by; "lo": made on this node. */
  readonly inputName?: string;
  readonly outputName?: string;
  readonly mark?: number;
  /** Bits of the mark that count (default all). */
  readonly markMask?: number;
  /** IP protocol number: 6 TCP, 17 UDP, 132 SCTP. */
  readonly ipProtocol?: number;
  /** Needs `ipProtocol`. Not matched by fragments. */
  readonly sourcePorts?: PortRange;
  readonly destinationPorts?: PortRange;
  /** Matches the packets that the rest does not match. */
  readonly invert?: boolean;
  /** Routes found with at most so long a prefix don't count (0: no default routes). */
  readonly suppressPrefixLength?: number;
  /** Who made it (default "static"). */
  readonly origin?: Origin;
}

/** A rule of a namespace. */
export interface Rule extends RuleSpec {
  readonly action: RuleAction;
  readonly invert: boolean;
  readonly origin: Origin;
}

/** The policy rules of a namespace. */
export class Rules {
  constructor(private readonly socket: NetlinkSocket) {}

  /** In the order of their priority. */
  list(filter: { readonly family?: Family; readonly priority?: number } = {}): Rule[] {
    const { family, priority } = filter;
    const families: Family[] = family === undefined ? ["IPv4", "IPv6"] : [family];
    return families.flatMap((one) =>
      this.socket.dump({
        type: RTM_GETRULE,
        payload: RULE.encode({ family: familyNumber(one) }, {}),
        format: RULE,
        what: "list rules",
      }).map(readRule)
    ).filter((rule) =>
      rule !== null && (priority === undefined || rule.priority === priority)
    ) as Rule[];
  }

  /** Adds a rule; EEXIST when there is one that is the same in all. */
  add(spec: RuleSpec): void {
    this.socket.request(ruleRequest("add", spec));
  }

  /** Adds a rule unless there is one that is the same in all; whether it was added. */
  ensure(spec: RuleSpec): boolean {
    return unless(ERRNO.EEXIST, () => this.add(spec));
  }

  /** Removes the first rule that is as described; ENOENT when there is none. */
  remove(spec: RuleSpec): void {
    this.socket.request(ruleRequest("remove", spec));
  }

  /** Removes every rule that is as described and returns how many there were. */
  removeAll(spec: RuleSpec): number {
    let removed = 0;
    while (unless(ERRNO.ENOENT, () => this.remove(spec))) removed++;
    return removed;
  }
}

/** Whether the request was carried out; false when it was refused by that error. */
function unless(errno: number, request: () => void): boolean {
  try {
    request();
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === errno) return false;
    throw error;
  }
}

function ruleRequest(verb: "add" | "remove", spec: RuleSpec): Request {
  const { family, priority, action = "lookup", table, mark, markMask, ipProtocol } = spec;
  const source = selector("source", family, spec.source);
  const destination = selector("destination", family, spec.destination);
  const removing = verb === "remove";
  return {
    type: removing ? RTM_DELRULE : RTM_NEWRULE,
    flags: removing ? 0 : NLM_F_CREATE | NLM_F_EXCL,
    payload: RULE.encode(
      {
        family: familyNumber(family),
        destinationPrefix: destination?.prefix ?? 0,
        sourcePrefix: source?.prefix ?? 0,
        table: table === undefined ? 0 : tableField(table),
        action: removing && spec.action === undefined ? 0 : RULE_ACTIONS.number(action),
        flags: spec.invert ? INVERT : 0,
      },
      {
        destination: destination?.address,
        source: source?.address,
        inputName: spec.inputName,
        target: spec.target,
        priority,
        mark,
        suppressPrefixLength: spec.suppressPrefixLength,
        table,
        markMask,
        outputName: spec.outputName,
        protocol: removing && spec.origin === undefined
          ? undefined
          : ORIGINS.number(spec.origin ?? "static"),
        ipProtocol,
        sourcePorts: spec.sourcePorts && writePorts(spec.sourcePorts),
        destinationPorts: spec.destinationPorts && writePorts(spec.destinationPorts),
      },
    ),
    format: RULE,
    what: `${verb} rule ${priority}`,
  };
}

/** The network of a selector; one that matches the whole family is none. */
function selector(what: string, family: Family, text: string | undefined) {
  if (text === undefined) return undefined;
  const network = requireNetwork(text);
  if (network.family !== family) {
    throw new TypeError(`the ${what} ${text} of a rule for ${family} is of the other family`);
  }
  return network.prefix === 0 ? undefined : network;
}

function writePorts({ start, end }: PortRange): number {
  // The kernel refuses 65535 (fib_rule_port_range_valid).
  if (!(start >= 1 && start <= end && end < 0xffff)) {
    throw new RangeError(`ports ${start} to ${end} are not a range within 1 to 65534`);
  }
  return (start | end << 16) >>> 0;
}

function readPorts(range: number | undefined): PortRange | undefined {
  return range === undefined ? undefined : { start: range & 0xffff, end: range >>> 16 };
}

/** Reads RTM_NEWRULE or RTM_DELRULE; null for families other than IP. */
export function readRule(message: Message): Rule | null {
  const { header, attributes } = RULE.decode(message.payload);
  const family = familyName(header.family);
  if (family === null) return null;
  const network = (address: string | undefined, prefix: number) =>
    prefix === 0 ? undefined : networkText(family, address, prefix);
  const table = attributes.table ?? header.table;
  return {
    family,
    priority: attributes.priority ?? 0,
    action: RULE_ACTIONS.name(header.action),
    table: table === 0 ? undefined : table,
    target: attributes.target,
    source: network(attributes.source, header.sourcePrefix),
    destination: network(attributes.destination, header.destinationPrefix),
    inputName: attributes.inputName,
    outputName: attributes.outputName,
    mark: attributes.mark,
    markMask: attributes.markMask,
    ipProtocol: attributes.ipProtocol,
    sourcePorts: readPorts(attributes.sourcePorts),
    destinationPorts: readPorts(attributes.destinationPorts),
    invert: (header.flags & INVERT) !== 0,
    suppressPrefixLength: attributes.suppressPrefixLength === 0xffffffff
      ? undefined
      : attributes.suppressPrefixLength,
    origin: ORIGINS.name(attributes.protocol ?? 0),
  };
}

/**
 * Changes of links, addresses, routes and rules, as the kernel tells them.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "../socket.ts";
import { type LinkAddress, readAddress } from "./addresses.ts";
import {
  GROUP,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTM_NEWRULE,
} from "./formats.ts";
import { type Link, readLink } from "./links.ts";
import { readRoute, type Route } from "./routes.ts";
import { readRule, type Rule } from "./rules.ts";

/** What changes can be listened to. */
export type Subject = "links" | "addresses" | "routes" | "rules";

/** A change. "new" is also said of one that was there and changed. */
export type RouteEvent =
  | { readonly kind: "link"; readonly change: "new" | "deleted"; readonly link: Link }
  | { readonly kind: "address"; readonly change: "new" | "deleted"; readonly address: LinkAddress }
  | { readonly kind: "route"; readonly change: "new" | "deleted"; readonly route: Route }
  | { readonly kind: "rule"; readonly change: "new" | "deleted"; readonly rule: Rule }
  /** Changes came faster than they were read and some are lost: list everything anew. */
  | { readonly kind: "overrun" };

const GROUPS: Readonly<Record<Subject, readonly number[]>> = {
  links: [GROUP.link],
  addresses: [GROUP.ipv4Address, GROUP.ipv6Address],
  routes: [GROUP.ipv4Route, GROUP.ipv6Route],
  rules: [GROUP.ipv4Rule, GROUP.ipv6Rule],
};

/**
 * Listens from when it is opened. To miss nothing: open, then list, then iterate. While it is
 * iterated it keeps the process alive; {@link close} ends the iteration.
 */
export class Subscription implements AsyncIterable<RouteEvent> {
  private constructor(private readonly socket: NetlinkSocket) {}

  /** Subscribes in the network namespace that this thread is in. */
  static open(subjects: readonly Subject[]): Subscription {
    const socket = NetlinkSocket.open(NETLINK_ROUTE);
    try {
      socket.subscribe(subjects.flatMap((subject) => GROUPS[subject]));
      return new Subscription(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RouteEvent, void, void> {
    for await (const event of this.socket.events()) {
      const change = event.kind === "overrun" ? event : readEvent(event.message);
      if (change !== null) yield change;
    }
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Reads a notification; null when it is of no subject here. */
export function readEvent(message: Message): RouteEvent | null {
  switch (message.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const change = message.type === RTM_NEWLINK ? "new" : "deleted";
      return { kind: "link", change, link: readLink(message) };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = readAddress(message);
      const change = message.type === RTM_NEWADDR ? "new" : "deleted";
      return address && { kind: "address", change, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = readRoute(message);
      const change = message.type === RTM_NEWROUTE ? "new" : "deleted";
      return route && { kind: "route", change, route };
    }
    case RTM_NEWRULE:
    case RTM_DELRULE: {
      const rule = readRule(message);
      const change = message.type === RTM_NEWRULE ? "new" : "deleted";
      return rule && { kind: "rule", change, rule };
    }
    default:
      return null;
  }
}

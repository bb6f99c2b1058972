/**
 * rtnetlink: the links, addresses, routes and rules of one network namespace.
 *
 * ```ts
 * using net = namespace.run(() => Rtnetlink.open());
 * net.links.setUp("lo");
 * net.addresses.add({ link: "eth0", address: "192.0.2.1", prefix: 24 });
 * net.routes.add({ destination: "0.0.0.0/0", gateway: "192.0.2.254" });
 * ```
 *
 * Source: rtnetlink(7).
 *
 * @module
 */

import { NETLINK_ROUTE, NetlinkSocket } from "../socket.ts";
import { Addresses } from "./addresses.ts";
import { type Subject, Subscription } from "./events.ts";
import { Links } from "./links.ts";
import { Routes } from "./routes.ts";
import { Rules } from "./rules.ts";

/** A namespace's network configuration. Calls are synchronous and throw NetlinkError. */
export class Rtnetlink {
  readonly links: Links;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly rules: Rules;

  private constructor(readonly socket: NetlinkSocket) {
    this.links = new Links(socket);
    this.addresses = new Addresses(socket, this.links);
    this.routes = new Routes(socket, this.links);
    this.rules = new Rules(socket);
  }

  /** For the namespace that this thread is in now, wherever it goes later. */
  static open(): Rtnetlink {
    return new Rtnetlink(NetlinkSocket.open(NETLINK_ROUTE));
  }

  /** Listens to changes in the namespace that this thread is in *now*. */
  static subscribe(subjects: readonly Subject[]): Subscription {
    return Subscription.open(subjects);
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

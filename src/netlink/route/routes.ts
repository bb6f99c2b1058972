/**
 * Routes by rtnetlink.
 *
 * @module
 */

import { type Family, familyOf, formatNetwork, type Network } from "../../net/address.ts";
import { familyName, familyNumber } from "../family.ts";
import type { Message, Request } from "../message.ts";
import { Editing, type Verb } from "./editing.ts";
import { ROUTE, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE } from "./formats.ts";
import type { LinkRef } from "./links.ts";
import {
  networkText,
  type Origin,
  ORIGINS,
  requireNetwork,
  ROUTE_TYPES,
  type RouteType,
  type Scope,
  SCOPES,
  TABLE_LOCAL,
  TABLE_MAIN,
  tableField,
} from "./names.ts";

/** RTNH_F_ONLINK. */
const ONLINK = 4;
/** RTM_F_CLONED: an entry of the IPv6 route cache. */
const CLONED = 0x200;

/** A route of a namespace. Multipath routes have no link and no gateway here. */
export interface Route {
  readonly family: Family;
  /** "address/prefix"; the default route is "0.0.0.0/0" or "::/0". */
  readonly destination: string;
  readonly type: RouteType;
  readonly table: number;
  readonly scope: Scope;
  readonly origin: Origin;
  /** Index of the link that it leaves by, or null. */
  readonly link: number | null;
  readonly gateway: string | null;
  readonly onlink: boolean;
  /** The source address that the node's own packets get. */
  readonly preferredSource: string | null;
  /** The lowest wins. */
  readonly metric: number;
  /** Bytes, or null: the link's. */
  readonly mtu: number | null;
}

/** A route to add, replace or remove. */
export interface RouteSpec {
  /** "address/prefix", or an address for a host route. */
  readonly destination: string;
  /** Default "unicast". */
  readonly type?: RouteType;
  /** Default: local routes in table 255, others in the main table, 254. */
  readonly table?: number;
  /** Default as ip-route(8): host for local, link for unicast without gateway, else global. */
  readonly scope?: Scope;
  /** Who made it (default "static"). */
  readonly origin?: Origin;
  readonly link?: LinkRef;
  readonly gateway?: string;
  /** The gateway is reached by the link, whatever the routes say. */
  readonly onlink?: boolean;
  readonly preferredSource?: string;
  readonly metric?: number;
  /** Bytes. */
  readonly mtu?: number;
}

/** Which routes to list. */
export interface RouteFilter {
  readonly family?: Family;
  readonly table?: number;
  readonly origin?: Origin;
}

/**
 * The routes of a namespace. One is the same as another of its destination, metric and table; the
 * first that is as described is removed, and ESRCH says that there is none.
 */
export class Routes extends Editing<RouteSpec> {
  list(filter: RouteFilter = {}): Route[] {
    const { family, table, origin } = filter;
    return this.socket.dump({
      type: RTM_GETROUTE,
      payload: ROUTE.encode({ family: familyNumber(family) }, {}),
      format: ROUTE,
      what: "list routes",
    }).map(readRoute).filter((route) =>
      route !== null && (table === undefined || route.table === table) &&
      (origin === undefined || ORIGINS.number(route.origin) === ORIGINS.number(origin))
    ) as Route[];
  }

  protected override request(
    verb: Verb,
    spec: RouteSpec,
    index: (link: LinkRef) => number,
  ): Omit<Request, "flags"> {
    const network = requireNetwork(spec.destination);
    const { type = "unicast", origin = "static", gateway, preferredSource, metric, mtu } = spec;
    const table = spec.table ?? (type === "local" ? TABLE_LOCAL : TABLE_MAIN);
    // When removing, what is not given is not compared: scope "nowhere" and origin 0 mean any.
    const removing = verb === "remove";
    const scope = spec.scope ?? (removing ? "nowhere" : defaultScope(type, gateway));
    return {
      type: removing ? RTM_DELROUTE : RTM_NEWROUTE,
      payload: ROUTE.encode(
        {
          family: familyNumber(network.family),
          destinationPrefix: network.prefix,
          table: tableField(table),
          protocol: removing && spec.origin === undefined ? 0 : ORIGINS.number(origin),
          scope: SCOPES.number(scope),
          type: removing && spec.type === undefined ? 0 : ROUTE_TYPES.number(type),
          flags: spec.onlink ? ONLINK : 0,
        },
        {
          destination: network.prefix === 0 ? undefined : network.address,
          outputLink: spec.link === undefined ? undefined : index(spec.link),
          gateway: sameFamily("gateway", network, gateway),
          priority: metric,
          preferredSource: sameFamily("preferred source", network, preferredSource),
          metrics: mtu === undefined ? undefined : { mtu },
          table,
        },
      ),
      format: ROUTE,
      what: `${verb} route ${formatNetwork(network)} in table ${table}`,
    };
  }
}

/** The address; TypeError when it is of the other family, as the kernel would read a part of it. */
function sameFamily(what: string, network: Network, address: string | undefined) {
  if (address !== undefined && familyOf(address) !== network.family) {
    throw new TypeError(
      `the ${what} ${address} of the route ${formatNetwork(network)} is of the other family`,
    );
  }
  return address;
}

function defaultScope(type: RouteType, gateway: string | undefined): Scope {
  if (type === "local") return "host";
  return type === "unicast" && gateway === undefined ? "link" : "global";
}

/** Reads RTM_NEWROUTE or RTM_DELROUTE; null for the route cache and families other than IP. */
export function readRoute(message: Message): Route | null {
  const { header, attributes } = ROUTE.decode(message.payload);
  const family = familyName(header.family);
  if (family === null || (header.flags & CLONED) !== 0) return null;
  return {
    family,
    destination: networkText(family, attributes.destination, header.destinationPrefix),
    type: ROUTE_TYPES.name(header.type),
    table: attributes.table ?? header.table,
    scope: SCOPES.name(header.scope),
    origin: ORIGINS.name(header.protocol),
    link: attributes.outputLink ?? null,
    gateway: attributes.gateway ?? null,
    onlink: (header.flags & ONLINK) !== 0,
    preferredSource: attributes.preferredSource ?? null,
    metric: attributes.priority ?? 0,
    mtu: attributes.metrics?.mtu ?? null,
  };
}

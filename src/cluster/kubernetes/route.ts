/**
 * Where a server is, and through which proxy.
 *
 * @module
 */

/** Where a connection goes to. */
export interface Target {
  /** A name or an address, IPv6 without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** How to get there. */
export interface Route {
  /** "http://…", "https://…" or "socks5://…", perhaps with user and password; absent: straight. */
  readonly proxyUrl?: string;
  /** CAs in PEM that may have signed for an https proxy, besides those that Deno brings. */
  readonly caCerts?: readonly string[];
}

/** Who one is to a proxy. */
export interface Login {
  readonly user: string;
  readonly password: string;
}

/** The login that stands in a URL. */
export function loginOf({ username, password }: URL): Login | null {
  if (username === "") return null;
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
}

/** Where a URL leads; without a port, to that of its scheme. */
export function targetOf(url: string): Target {
  const { hostname, port, protocol } = new URL(url);
  const known = { "http:": 80, "https:": 443 }[protocol] ?? 1080;
  return { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || known) };
}

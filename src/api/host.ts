/**
 * The host that a request names, before anything looks at its URL.
 *
 * @module
 */

import type { Check } from "./checks.ts";
import { ApiError } from "./errors.ts";

/** The host and port in a request's URL, as the client wrote them. */
export function hostOf(url: string): string {
  const start = url.indexOf("//") + 2;
  const end = url.indexOf("/", start);
  return url.slice(start, end < 0 ? url.length : end);
}

/** Refuses hosts that no URL can have: the server puts them into one as they come. */
export function possibleHost(): Check {
  let known = "";
  return (context) => {
    const { url } = context.req.raw;
    const host = hostOf(url);
    // Nearly all requests dial the same name.
    if (host !== known) {
      if (!URL.canParse(url)) {
        const named = JSON.stringify(host.slice(0, 100));
        throw new ApiError(400, "invalid_host", `Host ${named}: expected a name or an address`);
      }
      known = host;
    }
    return null;
  };
}

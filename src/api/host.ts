/**
 * The host that a request names, before anything looks at its URL.
 *
 * @module
 */

import type { Check } from "./checks.ts";
import { ApiError } from "./errors.ts";

/** Has a check of the host that a URL names done once for each: nearly all requests dial the same. */
export function oncePerHost(check: (url: string) => void): Check {
  let known = "";
  return (context) => {
    const { url } = context.req.raw;
    const host = hostOf(url);
    if (host !== known) {
      check(url);
      known = host;
    }
    return null;
  };
}

/** Refuses hosts that no URL can have: the server puts them into one as they come. */
export function possibleHost(): Check {
  return oncePerHost((url) => {
    if (URL.canParse(url)) return;
    const named = JSON.stringify(hostOf(url).slice(0, 100));
    throw new ApiError(400, "invalid_host", `Host ${named}: expected a name or an address`);
  });
}

/** The host and port in a request's URL, as the client wrote them. */
function hostOf(url: string): string {
  const start = url.indexOf("//") + 2;
  const end = url.indexOf("/", start);
  return url.slice(start, end < 0 ? url.length : end);
}

/**
 * What a kernel refuses of a sync.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import type { Family } from "../../net/address.ts";
import type { NetlinkError } from "../../netlink/error.ts";
import type { IpvsChange } from "../../netlink/generic/ipvs.ts";
import { realName, serverKey } from "./servers.ts";
import { serverName } from "./state.ts";

/** The kernel refused a part of a sync; the rest of it is done. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  /** @param learnt whether another sync leaves out what was refused. */
  constructor(family: Family, readonly refused: readonly string[], readonly learnt: boolean) {
    const more = refused.length > 3 ? `; and ${refused.length - 3} more` : "";
    super(`${family}: ${refused.slice(0, 3).join("; ")}${more}`);
  }
}

/** Whether a change that was refused is done all the same: what is to go may be gone already. */
export function isDone({ verb }: IpvsChange, { errno }: NetlinkError): boolean {
  return verb === "remove" && (errno === ERRNO.ENOENT || errno === ERRNO.ESRCH);
}

/**
 * The real server whose address the kernel takes for no host's, as `IpvsOptions.refusedReals` names
 * it; null when it is something else that was refused.
 */
export function refusedReal(
  { verb, server, real }: IpvsChange,
  { errno }: NetlinkError,
): string | null {
  const key = serverKey(server);
  if (verb !== "add" || real === undefined || key === null || errno !== ERRNO.EINVAL) return null;
  return `${serverName(key)} ${realName(real)}`;
}

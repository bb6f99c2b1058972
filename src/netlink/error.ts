/**
 * The one error of this library.
 *
 * @module
 */

import { ERRNO, errnoName } from "../linux/errno.ts";

/** What the kernel said beyond the number (extended acknowledgement, NLMSGERR_ATTR_*). */
export interface ExtendedAck {
  /** The kernel's text. */
  readonly message?: string;
  /** The attribute that it refused: its path of names, or "attribute N" when it is not described. */
  readonly attribute?: string;
  /** The number of an attribute that it misses. */
  readonly missing?: number;
  /**
   * The payload of the request as the kernel sent it back, where the socket asks for that; ipset
   * writes the line that it refused into it.
   */
  readonly request?: Uint8Array;
}

/** A request that the kernel refused, or a reply that is not what netlink sends (EBADMSG). */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** The symbolic name, such as "EEXIST". */
  readonly code: string;

  /** `errno` is positive; numbers from 4096 are a subsystem's own (ipset), which names them. */
  constructor(
    readonly errno: number,
    /** What was tried. */
    readonly what: string,
    readonly extended: ExtendedAck = {},
    code = errnoName(errno),
  ) {
    const said = [
      extended.message,
      extended.attribute && `at ${extended.attribute}`,
      extended.missing === undefined ? undefined : `attribute ${extended.missing} is missing`,
    ].filter((part) => part);
    super(`${what}: ${code}${said.length > 0 ? ` (${said.join(", ")})` : ""}`);
    this.code = code;
  }
}

/** A reply whose bytes contradict themselves or the description. */
export function malformed(what: string): NetlinkError {
  return new NetlinkError(ERRNO.EBADMSG, what);
}

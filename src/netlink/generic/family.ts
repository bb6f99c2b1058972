/**
 * Generic netlink: families with a name, whose number the kernel chooses.
 * Sources: linux/genetlink.h, Documentation/userspace-api/netlink/intro.rst of the kernel.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import { attributes } from "../attribute.ts";
import { string, u16, u32, u8 } from "../codec.ts";
import { malformed } from "../error.ts";
import { MessageFormat } from "../format.ts";
import { NetlinkError } from "../message.ts";
import type { NetlinkSocket } from "../socket.ts";

/** `struct genlmsghdr`. */
export const GENERIC_HEADER = { command: u8, version: u8, reserved: u16 } as const;

/** GENL_ID_CTRL: the family that knows the others, nlctrl. */
const CONTROLLER = 16;
const CTRL_CMD_GETFAMILY = 3;

/** CTRL_ATTR_*. */
const CONTROL = new MessageFormat(
  GENERIC_HEADER,
  attributes({
    id: [1, u16],
    name: [2, string],
    version: [3, u32],
    headerSize: [4, u32],
    largestAttribute: [5, u32],
  }),
);

/** A family of generic netlink. */
export interface GenericFamily {
  readonly name: string;
  /** The type of its messages. */
  readonly id: number;
  readonly version: number;
}

/**
 * The family of that name, or null when the kernel lacks it. Asking loads the module that has it,
 * when there is one.
 */
export function findFamily(socket: NetlinkSocket, name: string): GenericFamily | null {
  try {
    const [answer] = socket.request({
      type: CONTROLLER,
      payload: CONTROL.encode({ command: CTRL_CMD_GETFAMILY, version: 1 }, { name }),
      format: CONTROL,
      what: `find the generic netlink family ${name}`,
    });
    if (answer === undefined) throw malformed(`the kernel says nothing about the family ${name}`);
    return readFamily(answer.payload);
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return null;
    throw error;
  }
}

/** Reads CTRL_CMD_NEWFAMILY. */
export function readFamily(payload: Uint8Array): GenericFamily {
  const { id, name, version } = CONTROL.decode(payload).attributes;
  if (id === undefined || name === undefined) {
    throw malformed("a family of generic netlink without number or name");
  }
  return { name, id, version: version ?? 0 };
}

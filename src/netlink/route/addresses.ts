/**
 * IP addresses of network interfaces by rtnetlink.
 *
 * @module
 */

import { addressBytes, type Family, familyOf, formatAddress } from "../../net/address.ts";
import { familyName, familyNumber } from "../family.ts";
import type { Message, Request } from "../message.ts";
import { Editing, type Verb } from "./editing.ts";
import { ADDRESS, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR } from "./formats.ts";
import type { LinkRef } from "./links.ts";
import { type Scope, SCOPES } from "./names.ts";

const IFA_F_NODAD = 2;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_NOPREFIXROUTE = 0x200;

/** An address of a link. */
export interface LinkAddress {
  /** Index of the link. */
  readonly link: number;
  readonly family: Family;
  readonly address: string;
  readonly prefix: number;
  readonly scope: Scope;
  /** IPv6: not usable yet, as duplicate address detection goes on. */
  readonly tentative: boolean;
  /** IFA_F_*. */
  readonly flags: number;
}

/** An address to add or remove. */
export interface AddressSpec {
  readonly link: LinkRef;
  readonly address: string;
  /** Bits (default: the whole address, a host). */
  readonly prefix?: number;
  readonly scope?: Scope;
  /** Without the route to its prefix that the kernel else adds. */
  readonly noPrefixRoute?: boolean;
  /** IPv6: first see whether someone else has it, which takes a second (default: don't). */
  readonly detectDuplicates?: boolean;
}

/** The addresses of a namespace. Removing one that the link doesn't have is EADDRNOTAVAIL. */
export class Addresses extends Editing<AddressSpec> {
  /** All, or those of a link or family. */
  list(filter: { readonly link?: LinkRef; readonly family?: Family } = {}): LinkAddress[] {
    const index = filter.link === undefined ? 0 : this.links.index(filter.link);
    return this.socket.dump({
      type: RTM_GETADDR,
      payload: ADDRESS.encode({ family: familyNumber(filter.family), index }, {}),
      format: ADDRESS,
      what: "list addresses",
    }).map(readAddress).filter((address) =>
      address !== null && (index === 0 || address.link === index)
    ) as LinkAddress[];
  }

  protected override request(
    verb: Verb,
    spec: AddressSpec,
    index: (link: LinkRef) => number,
  ): Omit<Request, "flags"> {
    const { prefix, scope = "global", noPrefixRoute = false, detectDuplicates = false } = spec;
    const address = formatAddress(addressBytes(spec.address));
    const family = familyOf(address);
    const bits = prefix ?? (family === "IPv4" ? 32 : 128);
    const flags = (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0) |
      (family === "IPv6" && !detectDuplicates ? IFA_F_NODAD : 0);
    return {
      type: verb === "remove" ? RTM_DELADDR : RTM_NEWADDR,
      payload: ADDRESS.encode(
        {
          family: familyNumber(family),
          prefix: bits,
          scope: SCOPES.number(scope),
          index: index(spec.link),
        },
        { address, local: address, flags: verb === "remove" ? undefined : flags },
      ),
      format: ADDRESS,
      what: `${verb} address ${address}/${bits} of link ${spec.link}`,
    };
  }
}

/** Reads RTM_NEWADDR or RTM_DELADDR; null for families other than IP. */
export function readAddress(message: Message): LinkAddress | null {
  const { header, attributes } = ADDRESS.decode(message.payload);
  const family = familyName(header.family);
  // On point-to-point links `address` is the other end's; ours is always `local` where given.
  const address = attributes.local ?? attributes.address;
  if (family === null || address === undefined) return null;
  const flags = attributes.flags ?? header.flags;
  return {
    link: header.index,
    family,
    address,
    prefix: header.prefix,
    scope: SCOPES.name(header.scope),
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    flags,
  };
}

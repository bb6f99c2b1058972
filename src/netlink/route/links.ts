/**
 * Network interfaces by rtnetlink.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import { type Message, NetlinkError, NLM_F_CREATE, NLM_F_EXCL } from "../message.ts";
import type { NetlinkSocket } from "../socket.ts";
import { Writer } from "../writer.ts";
import { LINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, VETH_DATA } from "./formats.ts";

const IFF_UP = 1;
const IFF_LOWER_UP = 0x10000;
/** RTEXT_FILTER_SKIP_STATS: answers without the counters. */
const SKIP_STATISTICS = 8;

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** "veth", "bridge", "dummy", "tun"…; null for what has none, such as loopback and hardware. */
  readonly kind: string | null;
  /** Bytes. */
  readonly mtu: number;
  /** Set up by the administrator. */
  readonly up: boolean;
  /** Up and with a carrier. */
  readonly running: boolean;
  /** Hardware address, or null: TUN devices have none. */
  readonly address: string | null;
  /** Index of the bridge or bond that it belongs to, or null. */
  readonly master: number | null;
  /** Index of the other end of a veth (in its own namespace) or of a lower device, or null. */
  readonly peer: number | null;
  /** Packets that wait at most. */
  readonly txQueueLength: number;
  /** IFF_*. */
  readonly flags: number;
}

/** A link by its index or name. */
export type LinkRef = number | string;

/** A pair of virtual Ethernet devices. */
export interface VethOptions {
  readonly name: string;
  /** The other end; in this namespace, or the one of an open descriptor. */
  readonly peer: { readonly name: string; readonly namespaceFd?: number };
  /** Bytes, both ends (default: the kernel's, 1500). */
  readonly mtu?: number;
}

/** The links of a namespace. All functions throw NetlinkError: ENODEV when a link is missing. */
export class Links {
  constructor(private readonly socket: NetlinkSocket) {}

  list(): Link[] {
    return this.socket.dump({
      type: RTM_GETLINK,
      payload: LINK.encode({}, { extraMask: SKIP_STATISTICS }),
      format: LINK,
      what: "list links",
    }).filter((message) => message.type === RTM_NEWLINK).map(readLink);
  }

  /** The link of that name or index, or null. */
  get(link: LinkRef): Link | null {
    try {
      const answers = this.socket.request({
        type: RTM_GETLINK,
        payload: LINK.encode(...target(link, {}, { extraMask: SKIP_STATISTICS })),
        format: LINK,
        what: `get link ${link}`,
      });
      return answers.length > 0 ? readLink(answers[0]) : null;
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERRNO.ENODEV) return null;
      throw error;
    }
  }

  /** The index of a link that must exist: ENODEV when it doesn't. */
  index(link: LinkRef): number {
    if (typeof link === "number") return link;
    const found = this.get(link);
    if (found === null) throw new NetlinkError(ERRNO.ENODEV, `find link ${link}`);
    return found.index;
  }

  /** {@link index} that asks the kernel once for a name, for use in one batch. */
  indexes(): (link: LinkRef) => number {
    const known = new Map<LinkRef, number>();
    return (link) => {
      let index = known.get(link);
      if (index === undefined) known.set(link, index = this.index(link));
      return index;
    };
  }

  /**
   * Makes a veth pair and sets this end up, and the peer if it is in this namespace; elsewhere,
   * setting it up is for whoever acts there. EEXIST when a name is taken.
   */
  createVeth({ name, peer, mtu }: VethOptions): Link {
    const data = new Writer();
    VETH_DATA.write(data, {
      peer: { header: {}, attributes: { name: peer.name, mtu, namespaceFd: peer.namespaceFd } },
    });
    // Created down: a peer that is created up before this end exists loses its first packets.
    this.#create(name, "veth", data.written, mtu);
    this.setUp(name);
    if (peer.namespaceFd === undefined) this.setUp(peer.name);
    return this.#require(name);
  }

  /** Makes a dummy device, down. EOPNOTSUPP when the kernel has none. */
  createDummy({ name, mtu }: { name: string; mtu?: number }): Link {
    this.#create(name, "dummy", undefined, mtu);
    return this.#require(name);
  }

  /** Makes a bridge, down. */
  createBridge({ name, mtu }: { name: string; mtu?: number }): Link {
    this.#create(name, "bridge", undefined, mtu);
    return this.#require(name);
  }

  setUp(link: LinkRef): void {
    this.#set(link, "set up", { flags: IFF_UP, change: IFF_UP }, {});
  }

  setDown(link: LinkRef): void {
    this.#set(link, "set down", { flags: 0, change: IFF_UP }, {});
  }

  /** Bytes. */
  setMtu(link: LinkRef, mtu: number): void {
    this.#set(link, `set MTU ${mtu} of`, {}, { mtu });
  }

  /** Packets. */
  setTxQueueLen(link: LinkRef, txQueueLength: number): void {
    this.#set(link, `set queue length ${txQueueLength} of`, {}, { txQueueLength });
  }

  /** Makes a link a port of a bridge, or with null of none. */
  setMaster(link: LinkRef, master: LinkRef | null): void {
    const index = master === null ? 0 : this.index(master);
    this.#set(link, `set master ${master ?? "none"} of`, {}, { master: index });
  }

  /** Moves a link to the namespace of an open descriptor, where it is down and without addresses. */
  moveToNamespace(link: LinkRef, namespaceFd: number): void {
    this.#set(link, `move to the namespace of descriptor ${namespaceFd}`, {}, { namespaceFd });
  }

  /** Deletes a virtual link; of a veth, both ends. */
  delete(link: LinkRef): void {
    this.socket.request({
      type: RTM_DELLINK,
      payload: LINK.encode(...target(link, {}, {})),
      format: LINK,
      what: `delete link ${link}`,
    });
  }

  #create(name: string, kind: string, data: Uint8Array | undefined, mtu: number | undefined): void {
    this.socket.request({
      type: RTM_NEWLINK,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      payload: LINK.encode({}, { name, mtu, info: { kind, data } }),
      format: LINK,
      what: `create ${kind} ${name}`,
    });
  }

  #set(link: LinkRef, what: string, header: Header, values: LinkAttributes): void {
    this.socket.request({
      type: RTM_NEWLINK,
      payload: LINK.encode(...target(link, header, values)),
      format: LINK,
      what: `${what} link ${link}`,
    });
  }

  #require(name: string): Link {
    const link = this.get(name);
    if (link === null) throw new NetlinkError(ERRNO.ENODEV, `find link ${name} just created`);
    return link;
  }
}

type Header = Parameters<typeof LINK.encode>[0];
type LinkAttributes = Parameters<typeof LINK.encode>[1];

/** A header and attributes that name a link: by index in the header, else by name. */
function target(link: LinkRef, header: Header, values: LinkAttributes): [Header, LinkAttributes] {
  return typeof link === "number"
    ? [{ ...header, index: link }, values]
    : [header, { ...values, name: link }];
}

/** Reads RTM_NEWLINK or RTM_DELLINK. */
export function readLink(message: Message): Link {
  const { header, attributes } = LINK.decode(message.payload);
  return {
    index: header.index,
    name: attributes.name ?? "",
    kind: attributes.info?.kind ?? null,
    mtu: attributes.mtu ?? 0,
    up: (header.flags & IFF_UP) !== 0,
    running: (header.flags & (IFF_UP | IFF_LOWER_UP)) === (IFF_UP | IFF_LOWER_UP),
    address: attributes.address || null,
    master: attributes.master ?? null,
    peer: attributes.link ?? null,
    txQueueLength: attributes.txQueueLength ?? 0,
    flags: header.flags,
  };
}

/**
 * The kernel's load balancer (IPVS) by generic netlink, without ipvsadm.
 *
 * ```ts
 * using ipvs = Ipvs.open();
 * const server = { address: "10.96.0.1", port: 443, protocol: 6 };
 * const results = ipvs.apply([
 *   { verb: "add", server: { ...server, scheduler: "rr" } },
 *   { verb: "add", server, real: { address: "10.244.0.5", port: 6443, weight: 1 } },
 * ]);
 * ```
 *
 * The servers are those of the network namespace; the kernel wants CAP_NET_ADMIN in the first user
 * namespace. There are no events. Sources: linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import { malformed } from "../error.ts";
import { type Message, NetlinkError, type Request } from "../message.ts";
import { NETLINK_GENERIC, NetlinkSocket } from "../socket.ts";
import { findFamily, type GenericFamily } from "./family.ts";
import { COMMAND, INFO, IPVS } from "./ipvs_formats.ts";
import {
  endText,
  type ListedRealServer,
  type ListedVirtualServer,
  readRealServer,
  readServer,
  type RealServer,
  realServerAttributes,
  type RealServerId,
  realServerIdAttributes,
  serverAttributes,
  serverFamily,
  serverIdAttributes,
  serverText,
  type VirtualServer,
  type VirtualServerId,
} from "./ipvs_server.ts";

export {
  type AddressServerId,
  endText,
  type ForwardingMethod,
  type ListedRealServer,
  type ListedVirtualServer,
  type MarkServerId,
  type Persistence,
  type RealServer,
  type RealServerId,
  SCHEDULER_FLAGS,
  type Scheduling,
  type ServerStatistics,
  serverText,
  type Tunnel,
  type VirtualServer,
  type VirtualServerId,
} from "./ipvs_server.ts";

/** A change of one virtual server, or with `real` of one real server of it. */
export type IpvsChange =
  | { readonly verb: "add" | "update"; readonly server: VirtualServer; readonly real?: undefined }
  | {
    readonly verb: "add" | "update";
    readonly server: VirtualServerId;
    readonly real: RealServer;
  }
  | {
    readonly verb: "remove";
    readonly server: VirtualServerId;
    readonly real?: RealServerId;
  };

/** Seconds that connections last without packets. */
export interface IpvsTimeouts {
  /** Established TCP. */
  readonly tcp: number;
  /** TCP after the first FIN. */
  readonly tcpFin: number;
  readonly udp: number;
}

/** What the kernel says about its IPVS. */
export interface IpvsInfo {
  /** Such as "1.2.1". */
  readonly version: string;
  /** Rows of the hash table of connections. */
  readonly connectionTableSize: number;
}

/**
 * The virtual servers of a namespace. Calls are synchronous and throw NetlinkError: ESRCH when the
 * virtual server is missing, ENOENT when the real one or the scheduler is, EEXIST when what is to be
 * added is there.
 */
export class Ipvs {
  private constructor(readonly socket: NetlinkSocket, readonly family: GenericFamily) {}

  /**
   * For the namespace that this thread is in now, wherever it goes later. EOPNOTSUPP when the kernel
   * has no IPVS; asking loads its module.
   */
  static open(): Ipvs {
    const socket = NetlinkSocket.open(NETLINK_GENERIC, { receiveBuffer: 4 << 20 });
    try {
      const family = findFamily(socket, "IPVS");
      if (family === null) {
        throw new NetlinkError(ERRNO.EOPNOTSUPP, "open IPVS", {
          message: "the kernel has no IPVS, or its module ip_vs cannot be loaded",
        });
      }
      return new Ipvs(socket, family);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /**
   * All virtual servers, in no order. The kernel lists them part by part without a word about changes
   * in between, by which others may come twice or not at all.
   */
  list(): ListedVirtualServer[] {
    return this.socket.dump(this.#request(COMMAND.getService, {}, "list virtual servers"))
      .map((message) => readListedServer(message));
  }

  /** The virtual server, or null. */
  get(id: VirtualServerId): ListedVirtualServer | null {
    try {
      const [answer] = this.socket.request(this.#request(
        COMMAND.getService,
        { service: serverIdAttributes(id) },
        `get the virtual server ${serverText(id)}`,
      ));
      return answer === undefined ? null : readListedServer(answer);
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERRNO.ESRCH) return null;
      throw error;
    }
  }

  /**
   * The real servers of a virtual one, in the order that schedulers walk: the last added first.
   * None, too, when the virtual server is missing.
   */
  reals(id: VirtualServerId): ListedRealServer[] {
    return this.socket.dump(this.#request(
      COMMAND.getDestination,
      { service: serverIdAttributes(id) },
      `list the real servers of ${serverText(id)}`,
    )).map(({ payload }) => {
      const { destination } = IPVS.decode(payload).attributes;
      if (destination === undefined) throw malformed("a list of real servers without one");
      return readRealServer(destination, serverFamily(id));
    });
  }

  /**
   * Carries out many changes with few system calls, in order; one that is refused does not stop
   * the next. Returns for each null or why it was refused.
   */
  apply(changes: readonly IpvsChange[]): (NetlinkError | null)[] {
    return this.socket.batch(changes.map((change) => changeRequest(this.family, change)));
  }

  /** One change; throws when it is refused. */
  change(change: IpvsChange): void {
    this.socket.request(changeRequest(this.family, change));
  }

  /** Removes every virtual server of the namespace. */
  flush(): void {
    this.socket.request(this.#request(COMMAND.flush, {}, "remove all virtual servers"));
  }

  /** Sets the statistics of a virtual server and its real ones, or of all, to zero. */
  zero(id?: VirtualServerId): void {
    this.socket.request(this.#request(
      COMMAND.zero,
      id === undefined ? {} : { service: serverIdAttributes(id) },
      `zero the statistics of ${id === undefined ? "IPVS" : serverText(id)}`,
    ));
  }

  timeouts(): IpvsTimeouts {
    const [answer] = this.socket.request(
      this.#request(COMMAND.getConfig, {}, "get the time-outs of IPVS"),
    );
    const { tcpTimeout: tcp, tcpFinTimeout: tcpFin, udpTimeout: udp } = answer === undefined
      ? {}
      : IPVS.decode(answer.payload).attributes;
    if (tcp === undefined || tcpFin === undefined || udp === undefined) {
      throw malformed("the time-outs of IPVS are incomplete");
    }
    return { tcp, tcpFin, udp };
  }

  /** Those that are absent or 0 stay. */
  setTimeouts({ tcp, tcpFin, udp }: Partial<IpvsTimeouts>): void {
    this.socket.request(this.#request(
      COMMAND.setConfig,
      // The kernel reads all three.
      { tcpTimeout: tcp ?? 0, tcpFinTimeout: tcpFin ?? 0, udpTimeout: udp ?? 0 },
      "set the time-outs of IPVS",
    ));
  }

  info(): IpvsInfo {
    const [answer] = this.socket.request(
      this.#request(COMMAND.getInfo, {}, "get the version of IPVS"),
    );
    if (answer === undefined) throw malformed("IPVS says nothing about itself");
    return readInfo(answer.payload);
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #request(command: number, attributes: IpvsAttributes, what: string): Request {
    return ipvsRequest(this.family, command, attributes, what);
  }
}

type IpvsAttributes = Parameters<typeof IPVS.encode>[1];

function ipvsRequest(
  family: GenericFamily,
  command: number,
  attributes: IpvsAttributes,
  what: string,
): Request {
  const payload = IPVS.encode({ command, version: family.version }, attributes);
  return { type: family.id, payload, format: IPVS, what };
}

/** The request for a change. */
export function changeRequest(family: GenericFamily, change: IpvsChange): Request {
  const { verb, server, real } = change;
  if (real === undefined) {
    return ipvsRequest(
      family,
      SERVER_COMMANDS[verb],
      { service: verb === "remove" ? serverIdAttributes(server) : serverAttributes(server) },
      `${verb} the virtual server ${serverText(server)}`,
    );
  }
  return ipvsRequest(
    family,
    REAL_COMMANDS[verb],
    {
      service: serverIdAttributes(server),
      destination: verb === "remove" ? realServerIdAttributes(real) : realServerAttributes(real),
    },
    `${verb} the real server ${endText(real)} of ${serverText(server)}`,
  );
}

const SERVER_COMMANDS = {
  add: COMMAND.newService,
  update: COMMAND.setService,
  remove: COMMAND.deleteService,
} as const;

const REAL_COMMANDS = {
  add: COMMAND.newDestination,
  update: COMMAND.setDestination,
  remove: COMMAND.deleteDestination,
} as const;

/** Reads a message that tells of a virtual server. */
export function readListedServer({ payload }: Message): ListedVirtualServer {
  const { service } = IPVS.decode(payload).attributes;
  if (service === undefined) throw malformed("a list of virtual servers without one");
  return readServer(service);
}

/** Reads the answer about IPVS itself. */
export function readInfo(payload: Uint8Array): IpvsInfo {
  const { version = 0, connectionTableSize = 0 } = INFO.decode(payload).attributes;
  return {
    version: [version >>> 16 & 0xff, version >>> 8 & 0xff, version & 0xff].join("."),
    connectionTableSize,
  };
}

/**
 * Does to the kernel's IPVS what recorder_plan.ts says and returns what it picked; recorder.ts runs
 * this in the virtual machine. `?case=NAME` after the module's address, once or more, selects cases.
 *
 * @module
 */

import { close, poll, pollSet } from "../../../src/linux/libc.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { writeSysctl } from "../../../src/linux/sysctl.ts";
import { type Family, formatAddress } from "../../../src/net/address.ts";
import {
  Ipvs,
  type RealServer,
  SCHEDULER_FLAGS,
  type VirtualServer,
} from "../../../src/netlink/generic/ipvs.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";
import type { Operation, Recording } from "../../fixtures/ipvs/recording.ts";
import type { GuestTests } from "./guest.ts";
import { type Case, CASES, plan, random, SERVERS, type Step } from "./recorder_plan.ts";
import { accept, type End, received, send, tcpConnect, tcpListener, udpSocket } from "./sockets.ts";

const MARK = 7;
const PORT = 80;
const FIRST_PORT = 20_000;
const ARRIVAL_MS = 60_000;
/** Networks of servers, destinations and clients; every address of them is local. */
const NETWORKS = {
  IPv4: { server: [10, 66], destination: [10, 77], client: [10, 80] },
  IPv6: {
    server: [0x20, 1, 0x0d, 0xb8, 0, 0x66],
    destination: [0x20, 1, 0x0d, 0xb8, 0, 0x77],
    client: [0x20, 1, 0x0d, 0xb8, 0, 0x80],
  },
} as const;

/** Different addresses that the name of a case determines. */
function addresses(one: Case, role: keyof typeof NETWORKS[Family], count: number): string[] {
  const next = random(`${role} of ${one.name}`);
  const size = one.family === "IPv4" ? 4 : 16;
  const network = NETWORKS[one.family][role];
  const found = new Set<string>();
  while (found.size < count) {
    const rest = Array.from({ length: size - network.length }, () => 1 + next(254));
    found.add(formatAddress(Uint8Array.of(...network, ...rest)));
  }
  return [...found];
}

type Count = readonly [active: number, inactive: number];

/** One virtual server in a namespace of its own, and everything around it. */
class Stage {
  readonly servers: readonly End[];
  readonly clients: readonly string[];
  readonly destinations: readonly string[];
  readonly operations: Operation[] = [];
  readonly #ipvs: Ipvs;
  readonly #virtual: VirtualServer;
  readonly #sockets: readonly number[];
  readonly #next: (n: number) => number;
  /** Of each opened connection. */
  readonly #connections: {
    readonly server: number;
    readonly fds: readonly number[];
    open: boolean;
  }[] = [];
  readonly #present = new Set<number>();
  #sent = 0;

  /** The thread must be in the namespace as long as the stage is used. */
  constructor(readonly one: Case) {
    this.#next = random(`packets of ${one.name}`);
    this.servers = addresses(one, "server", SERVERS)
      .map((address, i) => ({ address, port: 8001 + 7 * i }));
    this.clients = addresses(one, "client", one.varied ? 200 : 1);
    this.destinations = addresses(one, "destination", one.marked ? 60 : 1);
    this.#prepareNetwork();
    this.#sockets = this.servers.map((server) =>
      one.traffic === "tcp" ? tcpListener(server) : udpSocket(server)
    );
    this.#ipvs = Ipvs.open();
    this.#virtual = {
      ...(one.marked ? { mark: MARK, family: one.family } : {
        address: this.destinations[0],
        port: PORT,
        protocol: one.traffic === "tcp" ? 6 : 17,
      }),
      scheduler: one.scheduler,
      schedulerFlags: one.flags.reduce(
        (bits, flag) => bits | SCHEDULER_FLAGS[flag as keyof typeof SCHEDULER_FLAGS],
        0,
      ),
      onePacket: one.traffic === "packet",
    };
    this.#ipvs.change({ verb: "add", server: this.#virtual });
  }

  run(step: Step): void {
    switch (step[0]) {
      case "add":
      case "set":
        return this.#put(step);
      case "remove":
        return this.#remove(step[1]);
      case "send":
        return this.#send(step[1]);
      case "open":
        return this.#open();
      case "close":
        return this.#close();
      case "counts":
        return this.#counts();
    }
  }

  end(): void {
    for (const { fds } of this.#connections) fds.forEach(close);
    this.#sockets.forEach(close);
    this.#ipvs.close();
  }

  #prepareNetwork(): void {
    using net = Rtnetlink.open();
    net.links.setUp("lo");
    writeSysctl("net.ipv4.icmp_ratelimit", 0);
    writeSysctl("net.ipv6.icmp.ratelimit", 0);
    const prefix = this.one.family === "IPv4" ? 16 : 48;
    for (const network of Object.values(NETWORKS[this.one.family])) {
      const bytes = new Uint8Array(this.one.family === "IPv4" ? 4 : 16);
      bytes.set(network);
      const destination = `${formatAddress(bytes)}/${prefix}`;
      net.routes.add({ destination, type: "local", table: 255, link: "lo", scope: "host" });
    }
  }

  #put(step: Step & readonly ["add" | "set", ...unknown[]]): void {
    const [kind, server, weight, upperThreshold, lowerThreshold] = step;
    const real: RealServer = { ...this.servers[server], weight, upperThreshold, lowerThreshold };
    this.#ipvs.change({ verb: kind === "add" ? "add" : "update", server: this.#virtual, real });
    this.#present.add(server);
    this.operations.push(step);
  }

  #remove(server: number): void {
    this.#ipvs.change({ verb: "remove", server: this.#virtual, real: this.servers[server] });
    this.#present.delete(server);
    this.operations.push(["remove", server]);
  }

  /** A client, its port, and a destination, by the places of their addresses. */
  #packet(): [client: number, port: number, destination: number] {
    return [
      this.#next(this.clients.length),
      this.one.varied ? 1024 + this.#next(64_000) : 40_000,
      this.#next(this.destinations.length),
    ];
  }

  /** Sends packets and returns which server each arrived at. */
  #transmit(packets: readonly (readonly [number, number, number])[]): number[] {
    const first = this.#sent;
    const mark = this.one.marked ? MARK : 0;
    let expected = 0;
    for (const [client, port, destination] of packets) {
      const fd = udpSocket({ address: this.clients[client], port }, mark);
      const target = { address: this.destinations[destination], port: PORT };
      // Without a real server the packet is dropped at once.
      if (send(fd, target, new Uint8Array(Uint32Array.of(this.#sent++).buffer))) expected++;
      close(fd);
    }
    const picks = new Array<number>(packets.length).fill(-1);
    const deadline = performance.now() + ARRIVAL_MS;
    while (expected > 0) {
      if (performance.now() > deadline) throw new Error(`${expected} packets arrived nowhere`);
      poll(pollSet(this.#sockets), 100);
      for (const [server, fd] of this.#sockets.entries()) {
        for (const payload of received(fd)) {
          const number = new DataView(payload.buffer).getUint32(0, true) - first;
          if (picks[number] !== -1) throw new Error(`packet ${number} arrived twice or late`);
          picks[number] = server;
          expected--;
        }
      }
    }
    return picks;
  }

  #send(count: number): void {
    const packets = Array.from({ length: count }, () => this.#packet());
    const picks = this.#transmit(packets);
    this.operations.push(["send", this.one.varied ? packets.flat() : null, picks]);
  }

  #open(): void {
    const [client, , destination] = this.#packet();
    // Never the same twice, as that would be the same connection.
    const port = FIRST_PORT + this.#connections.length;
    let server = -1;
    const fds: number[] = [];
    if (this.one.traffic === "udp") {
      [server] = this.#transmit([[client, port, destination]]);
    } else {
      const fd = tcpConnect(
        { address: this.clients[client], port },
        { address: this.destinations[destination], port: PORT },
        this.one.marked ? MARK : 0,
      );
      if (fd !== null) {
        fds.push(fd);
        for (const [i, listener] of this.#sockets.entries()) {
          const accepted = accept(listener);
          if (accepted === null) continue;
          if (server !== -1) throw new Error("one connection arrived twice");
          server = i;
          fds.push(accepted);
        }
        if (server === -1) throw new Error("a connection arrived nowhere");
      }
    }
    this.#connections.push({ server, fds, open: server !== -1 && this.one.traffic === "tcp" });
    this.operations.push(["open", client, port, destination, server]);
  }

  /** Ends one; not of a server that is gone, whose packets are dropped. */
  #close(): void {
    const candidates = Array.from(this.#connections.entries())
      .filter(([, { open, server }]) => open && this.#present.has(server));
    if (candidates.length === 0) return;
    const [number, connection] = candidates[this.#next(candidates.length)];
    connection.fds.forEach(close);
    this.#connections[number] = { ...connection, fds: [], open: false };
    this.operations.push(["close", number]);
  }

  /** Notes the kernel's counts, which must be those that the connections here add up to. */
  #counts(): void {
    const reals = this.#ipvs.reals(this.#virtual);
    const counts = this.servers.map(({ address, port }): Count | null => {
      const real = reals.find((one) => one.address === address && one.port === port);
      return real === undefined ? null : [real.activeConnections, real.inactiveConnections];
    });
    const own = this.servers.map((_, server): Count | null => {
      if (!this.#present.has(server)) return null;
      const connections = this.#connections.filter((connection) => connection.server === server);
      const active = connections.filter(({ open }) => open).length;
      return [active, connections.length - active];
    });
    if (JSON.stringify(counts) !== JSON.stringify(own)) {
      throw new Error(`the counts are ${JSON.stringify(counts)}, not ${JSON.stringify(own)}`);
    }
    this.operations.push(["counts", counts]);
  }
}

function record(one: Case, overhead: 256 | 257): Recording {
  using namespace = NetworkNamespace.create();
  return namespace.run(() => {
    const stage = new Stage(one);
    try {
      for (const step of plan(one)) stage.run(step);
      return {
        format: 1,
        kernel: Deno.osRelease(),
        overhead,
        scheduler: one.scheduler,
        flags: one.flags,
        family: one.family,
        traffic: one.traffic,
        servers: stage.servers.map(({ address, port }) => [address, port]),
        clients: stage.clients,
        destinations: stage.destinations,
        port: PORT,
        operations: stage.operations,
      };
    } finally {
      stage.end();
    }
  });
}

/**
 * What an active connection counts: a server with 1 active connection before one with 256 inactive
 * ones in the list is picked by lc only if it counts 256, as the first of equals.
 */
function measureOverhead(): 256 | 257 {
  const one: Case = {
    name: "overhead",
    scheduler: "lc",
    flags: [],
    family: "IPv4",
    traffic: "tcp",
    marked: true,
    varied: false,
    thresholds: false,
    multiples: false,
    picks: 0,
  };
  using namespace = NetworkNamespace.create();
  return namespace.run(() => {
    const stage = new Stage(one);
    try {
      stage.run(["add", 0, 0]);
      stage.run(["add", 1, 1]);
      stage.run(["open"]);
      stage.run(["set", 0, 1]);
      stage.run(["set", 1, 0]);
      const udp = udpSocket({ address: stage.clients[0], port: FIRST_PORT }, MARK);
      for (let i = 0; i < 256; i++) {
        // Another port of the destination is another connection.
        send(udp, { address: stage.destinations[0], port: 1000 + i }, new Uint8Array(1));
      }
      close(udp);
      stage.run(["set", 1, 1]);
      stage.run(["open"]);
      const open = stage.operations[stage.operations.length - 1];
      return open[4] === 1 ? 256 : 257;
    } finally {
      stage.end();
    }
  });
}

const selected = new URL(import.meta.url).searchParams.getAll("case");
let overhead: 256 | 257 | null = null;

export const tests: GuestTests = Object.fromEntries(
  CASES.filter(({ name }) => selected.length === 0 || selected.includes(name))
    .map((one) => [one.name, () => record(one, overhead ??= measureOverhead())]),
);

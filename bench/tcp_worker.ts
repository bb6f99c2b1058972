/**
 * A thread that makes or answers TCP connections with blocking sockets in one network namespace, so
 * that what is measured is the path between and not an event loop.
 *
 * @module
 */

import { NetworkNamespace } from "../src/linux/namespace.ts";
import { addressBytes } from "../src/net/address.ts";
import { serveCalls } from "../src/rpc/worker_rpc.ts";

const { symbols: c } = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
});

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVTIMEO = 20;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

/** `struct sockaddr_in`. */
function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  bytes.set([port >> 8, port & 0xff, ...addressBytes(address)], 2);
  return bytes;
}

function expect(result: number, what: string): number {
  if (result < 0) throw new Error(`${what} failed`);
  return result;
}

function open(): number {
  const fd = expect(c.socket(AF_INET, SOCK_STREAM, 0), "socket");
  c.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, Int32Array.of(1), 4);
  // A lost packet must end the round, not hang it.
  c.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, BigInt64Array.of(5n, 0n), 16);
  return fd;
}

function dial(address: string, port: number): number {
  const fd = open();
  expect(c.connect(fd, socketAddress(address, port), 16), `connect to ${address}:${port}`);
  return fd;
}

const byte = new Uint8Array(1);

const methods = {
  enter(fd: number): void {
    NetworkNamespace.fromFd(fd).enter();
  },

  /** Echoes single bytes, one connection after the other, for ever: this thread answers no more. */
  serve(port: number): void {
    const listener = expect(c.socket(AF_INET, SOCK_STREAM, 0), "socket");
    c.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, Int32Array.of(1), 4);
    expect(c.bind(listener, socketAddress("0.0.0.0", port), 16), `bind port ${port}`);
    expect(c.listen(listener, 1024), "listen");
    setTimeout(() => {
      for (;;) {
        const fd = c.accept(listener, null, null);
        if (fd < 0) continue;
        c.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, Int32Array.of(1), 4);
        while (c.recv(fd, byte, 1, 0) === 1) c.send(fd, byte, 1, 0);
        c.close(fd);
      }
    });
  },

  /** Connections per second: connect, one byte there and back, close; one after the other. */
  connections(address: string, port: number, seconds: number): number {
    const start = performance.now();
    let count = 0;
    while (performance.now() - start < seconds * 1000) {
      const fd = dial(address, port);
      expect(c.send(fd, byte, 1, 0), "send");
      if (c.recv(fd, byte, 1, 0) !== 1) throw new Error("the connection gave no answer");
      c.close(fd);
      count++;
    }
    return count / ((performance.now() - start) / 1000);
  },

  /** Median time of one byte there and back over one connection, in microseconds. */
  roundTrip(address: string, port: number, seconds: number): number {
    const fd = dial(address, port);
    const times: number[] = [];
    const start = performance.now();
    while (performance.now() - start < seconds * 1000) {
      const sent = performance.now();
      expect(c.send(fd, byte, 1, 0), "send");
      if (c.recv(fd, byte, 1, 0) !== 1) throw new Error("the connection gave no answer");
      times.push(performance.now() - sent);
    }
    c.close(fd);
    return times.sort((a, b) => a - b)[times.length >> 1] * 1000;
  },
};

/** What the thread can be asked. */
export type TcpMethods = typeof methods;

serveCalls(self as unknown as Worker, methods);

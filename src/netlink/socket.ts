/**
 * Netlink sockets. Requests are synchronous: the kernel has carried one out and queued its answer
 * when sending returns, so they cost two system calls and never wait. Events are awaited on a
 * helper thread. Sources: netlink(7), linux/netlink.h.
 *
 * A socket belongs to the network namespace that the thread is in when it is opened, for good.
 *
 * @module
 */

import {
  close,
  drainEvent,
  ERRNO,
  eventfd,
  pollAsync,
  pollSet,
  signalEvent,
  SystemError,
} from "../linux/libc.ts";
import { malformed, NetlinkError } from "./error.ts";
import {
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  parseAck,
  parseMessages,
  type Request,
  writeRequest,
} from "./message.ts";
import { type Answers, NetlinkPort, type SocketOptions } from "./port.ts";
import { Writer } from "./writer.ts";

export type { Answers, SocketOptions } from "./port.ts";

/** Netlink families. */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

/**
 * Bounds of one send of a batch. The default send buffer takes 208 KB, and an unprivileged receive
 * buffer the refusals of 256 messages, should all be refused.
 */
const CHUNK_BYTES = 64 * 1024;
const CHUNK_MESSAGES = 256;
/** How often a dump that was disturbed is begun anew. */
const DUMP_ATTEMPTS = 10;

/** Something that happened; `overrun`: messages were lost, so read everything anew. */
export type NetlinkEvent =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "overrun" };

/** A socket of one netlink family. For requests or, once subscribed, for events; not for both. */
export class NetlinkSocket {
  readonly #port: NetlinkPort;
  readonly #out = new Writer(4096);
  #sequence = 0;
  /** Something was sent whose answers have not all been read. */
  #awaiting = false;
  #wake: number | null = null;
  #polling = false;
  #closed = false;

  private constructor(port: NetlinkPort) {
    this.#port = port;
  }

  /** Opens a socket of a family, such as {@link NETLINK_ROUTE}. Throws {@link SystemError}. */
  static open(protocol: number, options: SocketOptions = {}): NetlinkSocket {
    return new NetlinkSocket(NetlinkPort.open(protocol, options));
  }

  /** Port number of this socket: `Message.port` of the events that its own requests cause. */
  get port(): number {
    return this.#port.number;
  }

  /**
   * Sends one request and returns the messages that answer it, often none. Throws
   * {@link NetlinkError} when it is refused.
   */
  request(request: Request): Message[] {
    const sequence = this.#nextSequence();
    this.#out.clear();
    writeRequest(this.#out, request, (request.flags ?? 0) | NLM_F_ACK, sequence);
    this.#send();
    return run(this.#answers(sequence, request, (message) => message));
  }

  /**
   * Asks for all objects of a kind. A dump during which they changed is begun anew; when that does
   * not help it throws EINTR.
   */
  dump(request: Request): Message[] {
    return run(this.dumpSteps(request, (message) => message));
  }

  /**
   * {@link dump} in steps of one datagram each: what a function makes of the messages. The socket
   * may not be used for anything else before the last step.
   */
  *dumpSteps<T>(request: Request, read: (message: Message) => T): Generator<void, T[], void> {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const sequence = this.#nextSequence();
      this.#out.clear();
      writeRequest(this.#out, request, (request.flags ?? 0) | NLM_F_DUMP, sequence);
      this.#send();
      let changed = false;
      const found = yield* this.#answers(sequence, request, (message) => {
        changed ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
        return read(message);
      });
      if (!changed) return found;
    }
    throw new NetlinkError(ERRNO.EINTR, request.what ?? `netlink dump ${request.type}`, {
      message: `changed during each of ${DUMP_ATTEMPTS} attempts`,
    });
  }

  /**
   * Carries out many requests with few system calls, in order; one that is refused does not stop
   * the next. Returns for each null or why it was refused. Messages that they answer with are left
   * out.
   */
  batch(requests: readonly Request[]): (NetlinkError | null)[] {
    const results = new Array<NetlinkError | null>(requests.length).fill(null);
    for (let start = 0; start < requests.length;) {
      const end = chunkEnd(requests, start);
      this.#chunk(requests, start, end, results);
      start = end;
    }
    return results;
  }

  /**
   * Sends messages that were written beforehand as one datagram, however large, and returns what
   * the kernel answered while it took them. For families that take a datagram as a whole, such as
   * batches of nfnetlink.
   */
  exchange(datagram: Uint8Array<ArrayBuffer>): Answers {
    this.#prepare(datagram);
    this.#port.send(datagram);
    return this.#port.drain();
  }

  /**
   * The same for what takes the kernel long, while this thread goes on with something else. The
   * socket may not be used before it is done.
   */
  async exchangeLater(datagram: Uint8Array<ArrayBuffer>): Promise<Answers> {
    this.#prepare(datagram);
    await this.#port.sendLater(datagram);
    return this.#port.drain();
  }

  /** Joins multicast groups by number; from now on the socket is for {@link events} only. */
  subscribe(groups: readonly number[]): void {
    this.#wake ??= eventfd();
    for (const group of groups) this.#port.join(group);
  }

  /**
   * The messages of the groups that were joined, until {@link close}. One consumer at a time. What
   * comes between joining and the first `next` waits in the receive buffer.
   */
  async *events(): AsyncGenerator<NetlinkEvent, void, void> {
    if (this.#wake === null) throw new TypeError("a netlink socket that joined no group");
    const set = pollSet([this.#port.fd, this.#wake]);
    while (!this.#closed) {
      for (let batch = this.#nextEvents(); batch !== null; batch = this.#nextEvents()) {
        for (const event of batch) {
          yield event;
          if (this.#closed) return;
        }
      }
      this.#polling = true;
      try {
        await pollAsync(set, -1);
      } finally {
        this.#polling = false;
        if (this.#closed) this.#release();
      }
      if (!this.#closed) drainEvent(this.#wake);
    }
  }

  /** Closes the socket and ends {@link events}. Doing it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // A descriptor that a helper thread polls may not be closed: its number could be taken anew.
    if (this.#polling && this.#wake !== null) signalEvent(this.#wake);
    else this.#release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #release(): void {
    this.#port.close();
    if (this.#wake !== null) close(this.#wake);
  }

  #nextSequence(): number {
    // 0 is the number of events.
    this.#sequence = this.#sequence === 0xffffffff ? 1 : this.#sequence + 1;
    return this.#sequence;
  }

  #send(): void {
    this.#checkSending();
    // What failed may have left answers; who has lost some gets no others before these are read.
    if (this.#awaiting) this.#port.drain();
    this.#awaiting = true;
    this.#port.send(this.#out.written);
  }

  #checkSending(): void {
    if (this.#closed) throw new SystemError(ERRNO.EBADF, "send on a closed netlink socket");
    if (this.#wake !== null) throw new TypeError("a netlink socket for events takes no requests");
  }

  /** Forgets old answers, and makes room for a datagram. */
  #prepare({ length }: Uint8Array): void {
    this.#checkSending();
    this.#port.drain();
    this.#port.makeRoom(length);
  }

  /** Collects the answers to one request up to its acknowledgement or the end of its dump. */
  *#answers<T>(
    sequence: number,
    request: Request,
    read: (message: Message) => T,
  ): Generator<void, T[], void> {
    const answers: T[] = [];
    let failure: { readonly error: unknown } | null = null;
    for (;;) {
      for (const message of parseMessages(this.#port.receive())) {
        if (message.sequence !== sequence || message.type === NLMSG_NOOP) continue;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          this.#awaiting = false;
          const refused = parseAck(message, request);
          if (refused !== null) throw refused;
          if (failure !== null) throw failure.error;
          return answers;
        }
        if (message.type === NLMSG_OVERRUN) throw malformed("the kernel lost netlink data");
        if (failure !== null) continue;
        try {
          answers.push(read(message));
        } catch (error) {
          // The rest has to be received, or else the kernel starts no other dump.
          failure = { error };
        }
      }
      yield;
    }
  }

  /** Sends requests start to end − 1 at once, only the last to be acknowledged when done. */
  #chunk(
    requests: readonly Request[],
    start: number,
    end: number,
    results: (NetlinkError | null)[],
  ): void {
    this.#out.clear();
    const places = new Map<number, number>();
    let last = 0;
    for (let place = start; place < end; place++) {
      last = this.#nextSequence();
      places.set(last, place);
      const flags = (requests[place].flags ?? 0) | (place === end - 1 ? NLM_F_ACK : 0);
      writeRequest(this.#out, requests[place], flags, last);
    }
    this.#send();
    try {
      for (let done = false; !done;) {
        for (const message of parseMessages(this.#port.receive())) {
          const place = places.get(message.sequence);
          if (place === undefined || message.type !== NLMSG_ERROR) continue;
          results[place] = parseAck(message, requests[place]);
          done ||= message.sequence === last;
        }
      }
      this.#awaiting = false;
    } catch (error) {
      if (!(error instanceof SystemError && error.errno === ERRNO.ENOBUFS)) throw error;
      // Refusals were lost, so that no result of this chunk without one is known.
      for (let place = start; place < end; place++) {
        results[place] ??= new NetlinkError(
          ERRNO.ENOBUFS,
          requests[place].what ?? `netlink request ${requests[place].type}`,
          { message: "the answer was lost" },
        );
      }
    }
  }

  /** The events of the next datagram, or null when none is there. */
  #nextEvents(): NetlinkEvent[] | null {
    try {
      const datagram = this.#port.receiveNow();
      if (datagram === null) return null;
      return Array.from(parseMessages(datagram), (message) => ({ kind: "message", message }));
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERRNO.ENOBUFS) {
        return [{ kind: "overrun" }];
      }
      throw error;
    }
  }
}

/** What steps return that are all done at once. */
function run<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The end of the chunk that starts here: at least one request, however long. */
function chunkEnd(requests: readonly Request[], start: number): number {
  let end = start;
  for (let bytes = 0; end < requests.length && end - start < CHUNK_MESSAGES; end++) {
    bytes += 16 + requests[end].payload.length + 3;
    if (bytes > CHUNK_BYTES && end > start) break;
  }
  return end;
}

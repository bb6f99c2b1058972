/**
 * HTTP listeners of health check node ports.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { formatSocketAddress } from "../net/address.ts";
import { LastingServer } from "../net/lasting_server.ts";
import { messageOf } from "../errors.ts";
import { EVERY_ADDRESS, EVERY_IPV4_ADDRESS } from "./addresses.ts";
import type { HealthAnswer } from "./answer.ts";

const logger = getLogger(["switchyard", "health"]);

/** Says how a Service, "namespace/name", is; null when it is not known any more. */
export type Answerer = (service: string) => HealthAnswer | null | Promise<HealthAnswer | null>;

/** What a thread that listens elsewhere asks of the one that started it. */
export type AnswerMethods = { readonly answer: Answerer };

/** Opens and closes listeners, one set for each Service. */
export interface Listeners {
  /**
   * Listens for a Service at a port of all these addresses, or of none: rejects then with one line.
   */
  open(service: string, port: number, addresses: readonly string[]): Promise<void>;
  /** Closes a Service's, with all connections to them. */
  close(service: string): Promise<void>;
  /** Closes all. */
  stop(): Promise<void>;
}

/** Listeners in the network namespace that this thread is in when they are opened. */
export class HttpListeners implements Listeners {
  readonly #answer: Answerer;
  readonly #open = new Map<string, Listener[]>();

  constructor(answer: Answerer) {
    this.#answer = answer;
  }

  async open(service: string, port: number, addresses: readonly string[]): Promise<void> {
    const servers: Listener[] = [];
    this.#open.set(service, servers);
    for (const address of addresses) {
      try {
        servers.push(listen(address, port, () => this.#respond(service)));
      } catch (error) {
        await this.close(service);
        throw error;
      }
    }
  }

  async close(service: string): Promise<void> {
    const servers = this.#open.get(service) ?? [];
    this.#open.delete(service);
    await Promise.all(servers.map((server) => server.end()));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((service) => this.close(service)));
  }

  async #respond(service: string): Promise<Response> {
    const answer = await this.#answer(service);
    if (answer === null) return new Response(null, { status: 503 });
    const { status, headers, body } = answer;
    return new Response(body, { status, headers: { ...headers } });
  }
}

type Listener = LastingServer<Deno.HttpServer<Deno.NetAddr>>;

function listen(
  address: string,
  port: number,
  respond: () => Promise<Response>,
): Listener {
  try {
    return new LastingServer(
      (signal) => Deno.serve({ hostname: address, port, signal, onListen() {} }, respond),
      (why) =>
        logger.error("health check node port {port}: {why}: all connections are closed", {
          port,
          why,
        }),
    );
  } catch (error) {
    if (address === EVERY_ADDRESS && hasNoIPv6(error)) {
      return listen(EVERY_IPV4_ADDRESS, port, respond);
    }
    const reason = error instanceof Deno.errors.AddrInUse ? "the port is in use" : messageOf(error);
    throw new Error(`cannot listen on ${formatSocketAddress(address, port)}: ${reason}`);
  }
}

/** EAFNOSUPPORT, or EADDRNOTAVAIL where IPv6 is there and disabled. */
function hasNoIPv6(error: unknown): boolean {
  return error instanceof Deno.errors.AddrNotAvailable || /os error 97\b/.test(messageOf(error));
}

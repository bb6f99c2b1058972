/**
 * The HTTP servers of the agent: health, metrics, and the rule-query API.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Arrival } from "../api/access.ts";
import { healthApp, metricsApp, queryApp } from "../api/app.ts";
import type { Metrics } from "../api/metrics.ts";
import {
  ListenError,
  type RunningServer,
  type RunningSocketServer,
  serve,
  serveSocket,
} from "../api/server.ts";
import type { ApiState } from "../api/state.ts";
import type { Zpages } from "../api/zpages.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { formatListenAddress, isLoopback, type SocketAddress } from "../config/values.ts";
import { VERSION } from "../config/version.ts";
import { readSysctl } from "../linux/sysctl.ts";
import { type Clock, systemClock } from "./clock.ts";

const logger = getLogger(["switchyard", "http"]);

/** As kube-proxy does: an address that cannot be bound is tried again this often, milliseconds. */
const BIND_RETRY_MS = 5000;

/** The part of the configuration that says who answers where. */
export type ServerConfig = Pick<
  Config,
  | "healthzBindAddress"
  | "metricsBindAddress"
  | "apiBindAddress"
  | "apiUnixSocket"
  | "apiTokenFile"
  | "bindAddressHardFail"
>;

/** Which of the servers that can be without. */
export type ServerName = "healthz" | "metrics";

/** What else the servers need. */
export interface ServerExtras {
  readonly clock?: Clock;
  /** What the metrics server tells of the process itself; absent: nothing. */
  readonly zpages?: Zpages;
  /** Is told when an address cannot be had, at the first try. */
  readonly listenFailed?: (server: ServerName, message: string) => void;
}

/** The servers that listen; null for those that don't, or don't yet. */
export interface RunningServers {
  readonly healthz: RunningServer | null;
  readonly metrics: RunningServer | null;
  readonly api: RunningServer | null;
  readonly apiSocket: RunningSocketServer | null;
  stop(): Promise<void>;
}

/**
 * Starts the servers. The rule-query API must be had; the addresses of health and metrics are tried
 * again until they are free, unless the configuration makes that fatal too.
 *
 * @throws {ListenError} for an address that must be had.
 * @throws {UsageError} for a token file that cannot be used.
 */
export async function startServers(
  config: ServerConfig,
  state: ApiState,
  metrics: Metrics,
  { clock = systemClock, zpages, listenFailed }: ServerExtras = {},
): Promise<RunningServers> {
  const token = config.apiTokenFile === null ? null : await readToken(config.apiTokenFile);
  const app = queryApp(state, metrics, { version: VERSION, token });
  const { apiBindAddress, apiUnixSocket } = config;
  const fetchAs = (arrival: Arrival) => (request: Request) => app.fetch(request, arrival);
  const apiSocket = apiUnixSocket === null
    ? null
    : await serveSocket(apiUnixSocket, fetchAs({ trusted: true }));
  const running: { stop(): Promise<void> }[] = apiSocket === null ? [] : [apiSocket];
  const optional: OptionalServer[] = [];
  const stop = async () => {
    await Promise.all([...running, ...optional].map((server) => server.stop()));
  };
  const startApi = (address: SocketAddress) => {
    const server = serve(address, fetchAs({ loopback: isLoopback(address.host) }));
    running.push(server);
    return server;
  };
  const start = (name: ServerName, address: SocketAddress | null, { fetch }: Fetcher) => {
    const failed = (message: string) => listenFailed?.(name, message);
    const server = new OptionalServer(`--${name}-bind-address`, address, fetch, clock, failed);
    optional.push(server);
    server.start(config.bindAddressHardFail);
    return server;
  };
  try {
    const api = apiBindAddress === null ? null : startApi(apiBindAddress);
    const healthz = start("healthz", config.healthzBindAddress, healthApp(state, metrics));
    const metricsServer = start(
      "metrics",
      config.metricsBindAddress,
      metricsApp(state, metrics, zpages),
    );
    return {
      get healthz() {
        return healthz.running;
      },
      get metrics() {
        return metricsServer.running;
      },
      api,
      apiSocket,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Fetcher {
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

/** A server whose address is tried again until it can be had. */
class OptionalServer {
  running: RunningServer | null = null;
  #cancel: (() => void) | null = null;
  #told = false;

  constructor(
    readonly flag: string,
    readonly address: SocketAddress | null,
    readonly handler: (request: Request) => Response | Promise<Response>,
    readonly clock: Clock,
    /** Is told of the first failure. */
    readonly failed: (message: string) => void,
  ) {}

  start(hardFail: boolean): void {
    if (this.address === null) return;
    try {
      this.running = serveEverywhere(this.address, this.handler);
      logger.debug("{flag}: answering on {address}", {
        flag: this.flag,
        address: formatListenAddress(this.running.address),
      });
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      if (!this.#told) this.failed(error.message);
      if (hardFail) throw error;
      if (!this.#told) {
        logger.warn("{flag}: {error}; trying again every {seconds} s", {
          flag: this.flag,
          error: error.message,
          seconds: BIND_RETRY_MS / 1000,
        });
      }
      this.#told = true;
      this.#cancel = this.clock.after(BIND_RETRY_MS, () => this.start(false));
    }
  }

  async stop(): Promise<void> {
    this.#cancel?.();
    await this.running?.stop();
  }
}

/**
 * Listens as Go does, in which probes of kube-proxy are used to it: 0.0.0.0 is every address of both
 * families, where the kernel has both.
 *
 * @throws {ListenError} as {@link serve}.
 */
function serveEverywhere(address: SocketAddress, handler: Fetcher["fetch"]): RunningServer {
  if (address.host !== "0.0.0.0" || !takesBothFamilies()) return serve(address, handler);
  try {
    return serve({ ...address, host: "::" }, handler);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    return serve(address, handler);
  }
}

/** Whether who listens on "::" is reached by IPv4 too. */
function takesBothFamilies(): boolean {
  return readSysctl("net.ipv6.bindv6only") === "0";
}

/** A token that cannot be guessed has at least this many characters. */
const MIN_TOKEN_LENGTH = 16;

async function readToken(file: string): Promise<string> {
  const bad = (what: string) => new UsageError(`--api-token-file ${JSON.stringify(file)}: ${what}`);
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : String(error);
    throw bad(why);
  }
  const token = text.trim();
  if (token.length < MIN_TOKEN_LENGTH || /\s/.test(token)) {
    throw bad(`expected one token of at least ${MIN_TOKEN_LENGTH} characters and nothing else`);
  }
  return token;
}

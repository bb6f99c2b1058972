/**
 * An API server for tests: lists and watches of in-memory objects over real HTTP on loopback, as
 * kube-apiserver answers them, and every misbehaviour that a client has to live with, on command.
 */

import { HttpDouble } from "./http_double.ts";
import { Collection, type RawObject, selectorOf, type Selects } from "./api_state.ts";

const PATHS: Readonly<Record<string, string>> = {
  Service: "/api/v1/services",
  EndpointSlice: "/apis/discovery.k8s.io/v1/endpointslices",
  Node: "/api/v1/nodes",
  ServiceCIDR: "/apis/networking.k8s.io/v1/servicecidrs",
};

/** The group and version of a kind: "discovery.k8s.io/v1", or "v1". */
function versionOf(kind: string): string {
  return PATHS[kind].split("/").slice(2, -1).join("/");
}

/** What a request may meet instead of a good answer. */
export type Fault =
  /** An answer with a status: 410, 429, 500 … */
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: number }
  /** An answer that is no Status object, as from a load balancer. */
  | { readonly kind: "foreign"; readonly status: number; readonly body: string }
  /** The request is taken and never answered. */
  | { readonly kind: "hang" }
  /** The answer begins late. */
  | { readonly kind: "slow"; readonly ms: number }
  /** The connection breaks after so many bytes of the body. */
  | { readonly kind: "drop"; readonly bytes: number }
  /** The body falls silent after so many bytes, and the connection stays. */
  | { readonly kind: "silent"; readonly bytes: number }
  /** The body ends as if complete after so many bytes. */
  | { readonly kind: "end"; readonly bytes: number }
  /** The body comes in chunks of so many bytes. */
  | { readonly kind: "split"; readonly bytes: number }
  /** A watch answers with this in its first line. */
  | { readonly kind: "line"; readonly text: string };

/** A fault, and which requests meet it: each takes one from its queue. */
export interface FaultRule {
  readonly on: "list" | "page" | "watch";
  /** Only requests for this kind; absent: any. */
  readonly of?: string;
  readonly fault: Fault;
}

export interface ApiDoubleOptions {
  /** As from a watch cache: a list that any version may answer is sent whole, whatever its limit. */
  readonly unpaged?: boolean;
  readonly bookmarkMs?: number;
  /** Watches end after this time instead of the seconds that were asked for. */
  readonly watchMs?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly port?: number;
}

/** An Event or a part of one. */
export interface RawEvent {
  readonly [field: string]: unknown;
}

const EVENTS = /^\/apis\/events\.k8s\.io\/v1\/namespaces\/[^/]+\/events(?:\/[^/]+)?$/;

export class ApiDouble implements AsyncDisposable {
  /** Every request: "list Service", "page Service", "watch Service?resourceVersion=5". */
  readonly requests: string[] = [];
  readonly queries: URLSearchParams[] = [];
  /** Every Event that was made or patched. */
  readonly events: { readonly method: string; readonly path: string; readonly body: RawEvent }[] =
    [];
  /** What the next writes of Events are answered, instead of being taken. */
  readonly refusals: { readonly status: number; readonly retryAfter?: number }[] = [];
  readonly faults: FaultRule[] = [];
  /** Bearer tokens that are good; null: none is asked for. */
  tokens: Set<string> | null = null;
  readonly #options: ApiDoubleOptions;
  readonly #collections = new Map<string, Collection>();
  readonly #pages = new Map<string, { items: readonly RawObject[]; version: number }>();
  readonly #open = new Set<(breaking: boolean) => void>();
  #server: HttpDouble | null = null;
  #port: number;
  #version = 100;
  #hangs = Promise.withResolvers<Response>();

  constructor(options: ApiDoubleOptions = {}) {
    this.#options = options;
    this.#port = options.port ?? 0;
    for (const kind of Object.keys(PATHS)) {
      this.#collections.set(kind, new Collection(() => ++this.#version));
    }
    this.start();
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  /** Listens (again), on the same port. */
  start(): void {
    this.#hangs = Promise.withResolvers();
    const { tls } = this.#options;
    this.#server = new HttpDouble((request) => this.#answer(request), { port: this.#port, tls });
    this.#port = this.#server.port;
  }

  /** Goes away, as when it is restarted: every connection breaks. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.breakWatches();
    this.#hangs.resolve(new Response(null, { status: 503 }));
    await server?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  collection(kind: string): Collection {
    return this.#collections.get(kind)!;
  }

  put(...objects: readonly RawObject[]): void {
    for (const object of objects) this.collection(object.kind).put(object);
  }

  remove(kind: string, key: string): boolean {
    return this.collection(kind).remove(key);
  }

  /** Forgets all history, and all lists that are being paged through. */
  compact(): void {
    for (const collection of this.#collections.values()) collection.compact(this.#version);
    this.#pages.clear();
  }

  /** Breaks every open watch in the middle of whatever it is doing. */
  breakWatches(): void {
    for (const end of [...this.#open]) end(true);
  }

  /** Ends every open watch in an orderly way. */
  endWatches(): void {
    for (const end of [...this.#open]) end(false);
  }

  get openWatches(): number {
    return this.#open.size;
  }

  get connections(): number {
    return this.#server?.connections ?? 0;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const query = url.searchParams;
    const kind = Object.keys(PATHS).find((one) => PATHS[one] === url.pathname);
    if (this.tokens !== null) {
      const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
      if (!this.tokens.has(token)) return status(401, "Unauthorized");
    }
    if (url.pathname === "/version") return Response.json({ major: "1" });
    if (EVENTS.test(url.pathname) && request.method !== "GET") return await this.#event(request);
    if (kind === undefined) return this.#get(url.pathname);
    const verb = query.has("watch") ? "watch" : query.has("continue") ? "page" : "list";
    this.requests.push(`${verb} ${kind}`);
    this.queries.push(query);
    const fault = this.#faultFor(verb, kind);
    if (fault?.kind === "hang") return await this.#hangs.promise;
    if (fault?.kind === "slow") await new Promise((resolve) => setTimeout(resolve, fault.ms));
    if (fault?.kind === "status") return status(fault.status, "Fault", fault.retryAfter);
    if (fault?.kind === "foreign") return new Response(fault.body, { status: fault.status });
    const selects = selectorOf(query);
    return verb === "watch"
      ? this.#watch(kind, query, selects, fault)
      : this.#list(kind, query, selects, fault);
  }

  /** One object that has no namespace. */
  #get(path: string): Response {
    const kind = Object.keys(PATHS).find((one) => path.startsWith(`${PATHS[one]}/`));
    const object = kind === undefined ? undefined : this.collection(kind).objects.find(
      ({ metadata }) => path === `${PATHS[kind]}/${metadata.name}`,
    );
    return object === undefined ? status(404, "NotFound") : Response.json(object);
  }

  async #event(request: Request): Promise<Response> {
    const body = await request.json();
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return status(refusal.status, "Fault", refusal.retryAfter);
    const { method } = request;
    this.requests.push(`${method === "POST" ? "create" : "patch"} Event`);
    this.events.push({ method, path: new URL(request.url).pathname, body });
    return Response.json(body, { status: method === "POST" ? 201 : 200 });
  }

  #faultFor(verb: FaultRule["on"], kind: string): Fault | null {
    const index = this.faults.findIndex(({ on, of = kind }) => on === verb && of === kind);
    return index < 0 ? null : this.faults.splice(index, 1)[0].fault;
  }

  #list(kind: string, query: URLSearchParams, selects: Selects, fault: Fault | null): Response {
    const token = query.get("continue");
    const version = query.get("resourceVersion") ?? "";
    if (Number(version) > this.#version) return tooLarge();
    const remembered = token === null ? undefined : this.#pages.get(token);
    if (token !== null && remembered === undefined) return status(410, "Expired");
    const whole = remembered ?? {
      items: this.collection(kind).objects.filter(selects),
      version: this.#version,
    };
    const unlimited = this.#options.unpaged === true && token === null && version !== "";
    const limit = unlimited ? Infinity : Number(query.get("limit") ?? Infinity);
    const rest = whole.items.slice(limit);
    const next = rest.length === 0 ? undefined : crypto.randomUUID();
    if (next !== undefined) this.#pages.set(next, { items: rest, version: whole.version });
    const items = whole.items.slice(0, limit)
      // Objects in lists carry neither.
      .map(({ kind: _kind, apiVersion: _apiVersion, ...object }) => object);
    const body = JSON.stringify({
      kind: `${kind}List`,
      apiVersion: versionOf(kind),
      metadata: {
        resourceVersion: String(whole.version),
        ...(next === undefined ? {} : { continue: next, remainingItemCount: rest.length }),
      },
      items,
    });
    const stream = new FaultyBody(fault);
    stream.send(body);
    stream.end();
    return new Response(stream.readable, { headers: { "content-type": "application/json" } });
  }

  #watch(kind: string, query: URLSearchParams, selects: Selects, fault: Fault | null): Response {
    const collection = this.collection(kind);
    let version = Number(query.get("resourceVersion") ?? 0);
    if (version > this.#version) return tooLarge();
    if (!collection.remembers(version)) {
      const gone = { kind: "Status", code: 410, reason: "Expired", message: "too old" };
      return new Response(`${JSON.stringify({ type: "ERROR", object: gone })}\n`);
    }
    const { bookmarkMs, watchMs = Number(query.get("timeoutSeconds") ?? 60) * 1000 } =
      this.#options;
    const body = new FaultyBody(fault, () => end(false));
    if (fault?.kind === "line") body.send(`${fault.text}\n`);
    const send = () => {
      for (const event of collection.eventsAfter(version, selects)) {
        body.send(`${JSON.stringify({ type: event.type, object: event.object })}\n`);
      }
      version = this.#version;
    };
    const bookmark = () => {
      send();
      const metadata = { resourceVersion: String(version) };
      const object = { kind, apiVersion: versionOf(kind), metadata };
      body.send(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
    };
    const stop = collection.watch(send);
    const timer = setTimeout(() => end(false), watchMs);
    const bookmarks = bookmarkMs === undefined || query.get("allowWatchBookmarks") !== "true"
      ? undefined
      : setInterval(bookmark, bookmarkMs);
    const end = (breaking: boolean) => {
      if (!this.#open.delete(end)) return;
      stop();
      clearTimeout(timer);
      clearInterval(bookmarks);
      if (breaking) body.break();
      else body.end();
    };
    this.#open.add(end);
    send();
    return new Response(body.readable, { headers: { "content-type": "application/json" } });
  }
}

/** A body that breaks, falls silent, ends early or comes in small chunks. */
class FaultyBody {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #fault: Fault | null;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #sent = 0;
  #done = false;

  constructor(fault: Fault | null, onCancel: () => void = () => {}) {
    this.#fault = fault;
    this.readable = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.#done = true;
        onCancel();
      },
    });
  }

  send(text: string): void {
    const bytes = new TextEncoder().encode(text);
    const fault = this.#fault;
    const limit = fault?.kind === "drop" || fault?.kind === "silent" || fault?.kind === "end"
      ? fault.bytes - this.#sent
      : Infinity;
    this.#enqueue(bytes.subarray(0, Math.max(0, Math.min(limit, bytes.length))));
    if (limit > bytes.length) return;
    if (fault?.kind === "drop") this.break();
    if (fault?.kind === "end") this.end();
  }

  end(): void {
    // A silent connection is not even closed.
    if (this.#done || (this.#fault?.kind === "silent" && this.#sent >= this.#fault.bytes)) return;
    this.#done = true;
    this.#controller.close();
  }

  break(): void {
    if (this.#done) return;
    this.#done = true;
    this.#controller.error(new Error("broken on command"));
  }

  #enqueue(bytes: Uint8Array): void {
    if (this.#done) return;
    this.#sent += bytes.length;
    const step = this.#fault?.kind === "split" ? this.#fault.bytes : bytes.length;
    for (let start = 0; start < bytes.length; start += step) {
      this.#controller.enqueue(bytes.slice(start, start + step));
    }
  }
}

function tooLarge(): Response {
  return Response.json({
    kind: "Status",
    code: 504,
    reason: "Timeout",
    message: "Timeout: Too large resource version: 9, current: 1",
    details: { causes: [{ reason: "ResourceVersionTooLarge" }], retryAfterSeconds: 0 },
  }, { status: 504 });
}

function status(code: number, reason: string, retryAfter?: number): Response {
  const body = { kind: "Status", status: "Failure", code, reason, message: `${reason} on command` };
  const headers: Record<string, string> = retryAfter === undefined
    ? {}
    : { "retry-after": String(retryAfter) };
  return Response.json(body, { status: code, headers });
}

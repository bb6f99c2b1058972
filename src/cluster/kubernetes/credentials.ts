/**
 * Who this node is to the API server, now: files are read again while it runs, since tokens,
 * certificates and CAs are rotated in place.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { type Access, type AccessOptions, findAccess } from "./access.ts";
import { messageOf } from "./failure.ts";
import { CredentialPlugin } from "./plugins.ts";
import type { Timing } from "./timing.ts";

const logger = getLogger(["switchyard", "kubernetes"]);

/** All that a connection and a request need. */
export interface Credentials {
  /** Address of the API server, without a slash at the end. */
  readonly server: string;
  /** CAs in PEM, believed in addition to those that Deno brings. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name in the server's certificate, if it is another than the server's. */
  readonly tlsServerName?: string;
  /** Whoever answers is taken for the server. */
  readonly insecure: boolean;
  /** "http://…", "https://…" or "socks5://…". */
  readonly proxyUrl?: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Files are read again after this time. A token's successor comes long before its end. */
const REREAD_MS = 30_000;

/** The credentials of one user of one cluster. */
export class CredentialStore {
  readonly #options: AccessOptions;
  readonly #timing: Timing;
  #loaded: { readonly access: Access; readonly plugin: CredentialPlugin | null } | null = null;
  #current: Credentials | null = null;
  #readAt = -Infinity;
  #pending: Promise<Credentials> | null = null;

  constructor(options: AccessOptions, timing: Timing) {
    this.#options = options;
    this.#timing = timing;
  }

  /**
   * The credentials of this moment.
   *
   * @throws {Error} naming the file or plugin that gave none.
   */
  current(): Promise<Credentials> {
    if (this.#current !== null && this.#timing.now() - this.#readAt < REREAD_MS) {
      return Promise.resolve(this.#current);
    }
    this.#pending ??= this.#read().finally(() => this.#pending = null);
    return this.#pending;
  }

  /** The server did not accept them: everything, the kubeconfig included, is read anew next time. */
  refuse(refused: Credentials): void {
    if (refused !== this.#current) return;
    this.#loaded = null;
    this.#current = null;
  }

  async #read(): Promise<Credentials> {
    this.#loaded ??= await load(this.#options);
    const credentials = await read(this.#loaded.access, this.#loaded.plugin);
    this.#current = credentials;
    this.#readAt = this.#timing.now();
    return credentials;
  }
}

async function load(options: AccessOptions) {
  const access = await findAccess(options);
  check(access);
  if (isInsecure(access)) {
    logger.warn(
      "insecure-skip-tls-verify: whoever answers as {server} is believed, and is shown this node's " +
        "credentials",
      { server: access.server },
    );
  }
  return { access, plugin: await CredentialPlugin.load(access) };
}

/** Without TLS there is nothing to skip. */
function isInsecure({ server, cluster }: Access): boolean {
  return cluster["insecure-skip-tls-verify"] === true && server.startsWith("https:");
}

/** What client-go refuses, or would find out too late. */
function check({ cluster }: Access): void {
  const ca = ["certificate-authority", "certificate-authority-data"] as const;
  const given = ca.find((name) => (cluster[name] ?? "") !== "");
  if (cluster["insecure-skip-tls-verify"] === true && given !== undefined) {
    throw new Error(`insecure-skip-tls-verify together with ${given}: expected one of them`);
  }
  const proxy = cluster["proxy-url"] ?? "";
  if (proxy === "") return;
  if (!/^(https?|socks5h?):\/\//.test(proxy) || !URL.canParse(proxy)) {
    throw new Error(
      `proxy-url: expected http://, https:// or socks5://, found ${JSON.stringify(proxy)}`,
    );
  }
}

async function read(access: Access, plugin: CredentialPlugin | null): Promise<Credentials> {
  const { server, cluster, user } = access;
  const given = await plugin?.credentials() ?? {};
  const pem = (kind: string, file?: string, data?: string) => readPem(kind, file, data);
  const cert = given.cert ??
    await pem("client-certificate", user["client-certificate"], user["client-certificate-data"]);
  const key = given.key ?? await pem("client-key", user["client-key"], user["client-key-data"]);
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error("client-certificate and client-key: expected both or none");
  }
  const headers = [...impersonation(user)];
  const authorization = await authorizationOf(user) ?? given.authorization;
  if (authorization !== undefined) headers.push(["authorization", authorization]);
  return {
    server,
    ca: await pem(
      "certificate-authority",
      cluster["certificate-authority"],
      cluster["certificate-authority-data"],
    ),
    cert,
    key,
    tlsServerName: cluster["tls-server-name"] || undefined,
    insecure: isInsecure(access),
    proxyUrl: cluster["proxy-url"] || undefined,
    headers,
  };
}

/** Unlike elsewhere in a kubeconfig, data stands over a file: as in client-go. */
async function readPem(
  kind: string,
  file: string | undefined,
  data: string | undefined,
): Promise<string | undefined> {
  if (data !== undefined && data !== "") {
    try {
      return new TextDecoder().decode(Uint8Array.fromBase64(data.replace(/\s+/g, "")));
    } catch (error) {
      throw new Error(`${kind}-data: expected PEM in base64: ${messageOf(error)}`);
    }
  }
  return file === undefined || file === "" ? undefined : await readFile(kind, file);
}

async function readFile(kind: string, path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new Error(`${kind} ${path}: ${messageOf(error)}`);
  }
}

/** A token file stands over a token, and both over a name and password: as in client-go. */
async function authorizationOf(user: Access["user"]): Promise<string | undefined> {
  if (user.tokenFile !== undefined && user.tokenFile !== "") {
    const token = (await readFile("tokenFile", user.tokenFile)).trim();
    if (token === "") throw new Error(`tokenFile ${user.tokenFile}: expected a token, it is empty`);
    return bearer(token);
  }
  if (user.token !== undefined && user.token !== "") return bearer(user.token.trim());
  if (user.username === undefined || user.username === "") return undefined;
  const pair = new TextEncoder().encode(`${user.username}:${user.password ?? ""}`);
  return `Basic ${pair.toBase64()}`;
}

/** A header that fetch would refuse is refused here, without the secret in the message. */
function bearer(token: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Error("token: expected printable characters without blanks");
  }
  return `Bearer ${token}`;
}

function* impersonation(user: Access["user"]): Generator<[string, string]> {
  if (user.as !== undefined) yield ["impersonate-user", user.as];
  if (user["as-uid"] !== undefined) yield ["impersonate-uid", user["as-uid"]];
  for (const group of user["as-groups"] ?? []) yield ["impersonate-group", group];
  for (const [name, values] of Object.entries(user["as-user-extra"] ?? {})) {
    for (const value of values) {
      yield [`impersonate-extra-${encodeURIComponent(name)}`, value];
    }
  }
}

/**
 * Credentials that a program or an identity provider hands out: exec plugins and auth providers.
 *
 * They are the client library's, which is loaded only when a kubeconfig asks for them: it takes a
 * second and 75 MB.
 *
 * @module
 */

import type { Cluster, KubeConfig, User } from "@kubernetes/client-node";
import type { Access } from "./access.ts";
import { messageOf } from "./failure.ts";

/** What a plugin gave. */
export interface PluginCredentials {
  /** Value of the Authorization header. */
  readonly authorization?: string;
  /** Client certificate and key in PEM. */
  readonly cert?: string;
  readonly key?: string;
}

/** Longest time that a plugin may take. */
const PLUGIN_MS = 60_000;

/** A user's plugin. Credentials are kept for as long as the plugin says that they are good. */
export class CredentialPlugin {
  readonly #config: KubeConfig;
  readonly #name: string;

  private constructor(config: KubeConfig, name: string) {
    this.#config = config;
    this.#name = name;
  }

  /** The plugin of a user, or null if the user has none. */
  static async load(access: Access): Promise<CredentialPlugin | null> {
    const { exec, "auth-provider": provider } = access.user;
    if (exec === undefined && provider === undefined) return null;
    const { KubeConfig } = await import("@kubernetes/client-node");
    const config = new KubeConfig();
    // The library refuses plain http unless verification is off, which means nothing there.
    const plain = access.server.startsWith("http:");
    const cluster: Cluster = { name: "cluster", server: access.server, skipTLSVerify: plain };
    const user: User = { name: "user", authProvider: provider, exec: withInfo(access) };
    config.loadFromClusterAndUser(cluster, user);
    const name = exec === undefined ? `auth-provider ${provider!.name}` : `exec ${exec.command}`;
    return new CredentialPlugin(config, name);
  }

  /** @throws {Error} naming the plugin, when it gives nothing. */
  async credentials(): Promise<PluginCredentials> {
    const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = {};
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      const message = `no answer within ${PLUGIN_MS / 1000} s`;
      timer = setTimeout(() => reject(new Error(message)), PLUGIN_MS);
    });
    try {
      await Promise.race([this.#config.applyToHTTPSOptions(options), timeout]);
    } catch (error) {
      throw new Error(`${this.#name}: ${messageOf(error)}`);
    } finally {
      clearTimeout(timer);
    }
    const headers = options.headers as Record<string, string> | undefined;
    return {
      authorization: headers?.Authorization,
      cert: options.cert?.toString(),
      key: options.key?.toString(),
    };
  }
}

/** The exec plugin of a user, with what it is told in its environment. */
function withInfo(access: Access): Access["user"]["exec"] {
  const exec = access.user.exec;
  if (exec === undefined) return undefined;
  const env = [...exec.env ?? [], { name: "KUBERNETES_EXEC_INFO", value: execInfo(access) }];
  return { ...exec, env };
}

/** What a plugin is told in its environment: client.authentication.k8s.io ExecCredential. */
function execInfo({ server, cluster, user }: Access): string {
  const exec = user.exec!;
  const info = {
    server,
    "tls-server-name": cluster["tls-server-name"],
    "insecure-skip-tls-verify": cluster["insecure-skip-tls-verify"],
    "certificate-authority-data": cluster["certificate-authority-data"],
    "proxy-url": cluster["proxy-url"],
  };
  return JSON.stringify({
    apiVersion: exec.apiVersion ?? "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    spec: { interactive: false, ...(exec.provideClusterInfo === true ? { cluster: info } : {}) },
  });
}

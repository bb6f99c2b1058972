/**
 * Which API server, as which user: from a kubeconfig, a server's address or the environment of a pod.
 *
 * @module
 */

import { join } from "node:path";
import { formatSocketAddress } from "../../net/address.ts";
import { messageOf } from "./failure.ts";
import { type ClusterEntry, parseKubeconfig, type UserEntry } from "./kubeconfig.ts";

/** Where Kubernetes puts a pod's own credentials. */
const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** How the cluster is named: as kube-proxy's flags do. */
export interface AccessOptions {
  /** `--kubeconfig`: a file; empty or absent: none. */
  readonly kubeconfig?: string;
  /** `--master`: address of the API server, stands over the kubeconfig's; empty or absent: none. */
  readonly master?: string;
  /** Where a pod finds its credentials. */
  readonly serviceAccountFolder?: string;
  /** The environment, for what Kubernetes tells a pod. */
  readonly env?: (name: string) => string | undefined;
}

/** What is needed to reach one API server as one user. */
export interface Access {
  /** "https://host:port" and perhaps a path; without a slash at the end. */
  readonly server: string;
  readonly cluster: ClusterEntry;
  readonly user: UserEntry;
}

/**
 * Finds cluster and user as kube-proxy does: the kubeconfig if there is one, with `--master` in place
 * of its server; `--master` alone, without credentials; else the pod's own service account.
 *
 * @throws {Error} with the file, the field and what was expected.
 */
export async function findAccess(options: AccessOptions): Promise<Access> {
  const { kubeconfig = "", master = "" } = options;
  if (kubeconfig === "" && master === "") return podAccess(options);
  const access = kubeconfig === ""
    ? { cluster: {}, user: {} }
    : parseKubeconfig(await readKubeconfig(kubeconfig), kubeconfig);
  const server = master === "" ? access.cluster.server : master;
  const where = master === "" ? `${kubeconfig}: server` : "--master";
  if (server === undefined || server === "") {
    throw new Error(`${kubeconfig}: the current context names no cluster with a server`);
  }
  return { ...access, server: serverUrl(server, where, access) };
}

/** Whether this process seems to be in a pod that may ask its cluster's API server. */
export function isInPod(
  options: Pick<AccessOptions, "serviceAccountFolder" | "env"> = {},
): boolean {
  const { env = (name) => Deno.env.get(name), serviceAccountFolder = SERVICE_ACCOUNT_FOLDER } =
    options;
  if (!env("KUBERNETES_SERVICE_HOST")) return false;
  try {
    return Deno.statSync(join(serviceAccountFolder, "token")).isFile;
  } catch {
    return false;
  }
}

async function readKubeconfig(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new Error(
      error instanceof Deno.errors.NotFound
        ? `--kubeconfig ${path}: there is no such file`
        : `--kubeconfig ${path}: ${messageOf(error)}`,
    );
  }
}

/** As in client-go, an address without a scheme is https where there is something to check it with. */
function serverUrl(
  server: string,
  where: string,
  { cluster, user }: { readonly cluster: ClusterEntry; readonly user: UserEntry },
): string {
  const secure = [
    cluster["certificate-authority"],
    cluster["certificate-authority-data"],
    cluster["tls-server-name"],
    user["client-certificate"],
    user["client-certificate-data"],
    user.token,
    user.tokenFile,
  ].some((given) => given !== undefined && given !== "");
  const full = server.includes("://") ? server : `${secure ? "https" : "http"}://${server}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") {
    throw new Error(`${where}: expected https://host:port, found ${JSON.stringify(server)}`);
  }
  return url.href.replace(/\/+$/, "");
}

async function podAccess(options: AccessOptions): Promise<Access> {
  const env = options.env ?? ((name) => Deno.env.get(name));
  const folder = options.serviceAccountFolder ?? SERVICE_ACCOUNT_FOLDER;
  const host = env("KUBERNETES_SERVICE_HOST") ?? "";
  const port = env("KUBERNETES_SERVICE_PORT") ?? "";
  if (host === "" || port === "") {
    throw new Error(
      "no cluster is known: expected --kubeconfig or --master, or to run in a pod " +
        "(KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set)",
    );
  }
  const tokenFile = join(folder, "token");
  try {
    await Deno.stat(tokenFile);
  } catch (error) {
    throw new Error(`${tokenFile}: expected the pod's service account token: ${messageOf(error)}`);
  }
  const authority = formatSocketAddress(host, port);
  const cluster = { "certificate-authority": join(folder, "ca.crt") };
  const user = { tokenFile };
  const where = "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT";
  return { server: serverUrl(`https://${authority}`, where, { cluster, user }), cluster, user };
}

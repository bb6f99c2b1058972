/**
 * The part of a kubeconfig file that counts: the cluster and the user of its current context.
 *
 * @module
 */

import { dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { type Decoded, type Issue, list, mapOf, object, optional } from "../schema/decoder.ts";
import { flag, stringMap, text } from "../schema/fields.ts";
import { fieldIssues, formatPath } from "../schema/issues.ts";
import { messageOf } from "./failure.ts";

const clusterSchema = object({
  server: optional(text),
  "certificate-authority": optional(text),
  "certificate-authority-data": optional(text),
  "insecure-skip-tls-verify": optional(flag),
  "tls-server-name": optional(text),
  "proxy-url": optional(text),
});

/** An exec plugin (client.authentication.k8s.io), as kubeconfig writes it. */
const execSchema = object({
  apiVersion: optional(text),
  command: text,
  args: optional(list(text, 1000)),
  env: optional(list(object({ name: text, value: text }), 1000)),
  provideClusterInfo: optional(flag),
  interactiveMode: optional(text),
  installHint: optional(text),
});

const userSchema = object({
  "client-certificate": optional(text),
  "client-certificate-data": optional(text),
  "client-key": optional(text),
  "client-key-data": optional(text),
  token: optional(text),
  tokenFile: optional(text),
  username: optional(text),
  password: optional(text),
  as: optional(text),
  "as-uid": optional(text),
  "as-groups": optional(list(text, 1000)),
  "as-user-extra": optional(mapOf(list(text), "an object")),
  exec: optional(execSchema),
  "auth-provider": optional(object({ name: text, config: optional(stringMap) })),
});

const fileSchema = object({
  "current-context": optional(text),
  contexts: optional(list(object({
    name: text,
    context: object({ cluster: optional(text), user: optional(text) }),
  }))),
  clusters: optional(list(object({ name: text, cluster: clusterSchema }))),
  users: optional(list(object({ name: text, user: optional(userSchema) }))),
});

/** A cluster of a kubeconfig; paths are absolute. */
export type ClusterEntry = Partial<Decoded<typeof clusterSchema>>;
/** A user of a kubeconfig; paths are absolute. */
export type UserEntry = Partial<Decoded<typeof userSchema>>;

/** The cluster and user of the current context. Paths are relative to the file's folder. */
export function parseKubeconfig(
  content: string,
  path: string,
): { readonly cluster: ClusterEntry; readonly user: UserEntry } {
  let value: unknown;
  try {
    value = parse(content);
  } catch (error) {
    throw new Error(`${path}: expected YAML or JSON: ${messageOf(error)}`);
  }
  const issues: Issue[] = [];
  const file = fileSchema(value ?? {}, issues);
  if (issues.length > 0) {
    const [issue] = fieldIssues(issues, value);
    const field = issue.path.length === 0 ? "" : `${formatPath(issue.path)}: `;
    throw new Error(`${path}: ${field}${issue.message}`);
  }
  const { contexts = [], clusters = [], users = [] } = file;
  const current = file["current-context"] ?? "";
  // Without any context nothing is wrong yet: the server may come from --master.
  if (current === "") return { cluster: {}, user: {} };
  const context = named(contexts, current, `${path}: current-context`).context;
  const cluster = context.cluster === undefined
    ? {}
    : named(clusters, context.cluster, `${path}: cluster of context "${current}"`).cluster;
  const user = context.user === undefined
    ? {}
    : named(users, context.user, `${path}: user of context "${current}"`).user ?? {};
  const folder = dirname(path);
  return { cluster: absoluteCluster(cluster, folder), user: absoluteUser(user, folder) };
}

function named<T extends { readonly name: string }>(
  entries: readonly T[],
  name: string,
  where: string,
): T {
  const found = entries.find((entry) => entry.name === name);
  if (found !== undefined) return found;
  const known = entries.map((entry) => entry.name).join(", ");
  throw new Error(
    `${where}: there is no ${JSON.stringify(name)}, expected one of: ${known || "none"}`,
  );
}

function absolute(path: string | undefined, folder: string): string | undefined {
  return path === undefined || path === "" || isAbsolute(path) ? path : join(folder, path);
}

function absoluteCluster(cluster: ClusterEntry, folder: string): ClusterEntry {
  const file = absolute(cluster["certificate-authority"], folder);
  return { ...cluster, "certificate-authority": file };
}

function absoluteUser(user: UserEntry, folder: string): UserEntry {
  return {
    ...user,
    "client-certificate": absolute(user["client-certificate"], folder),
    "client-key": absolute(user["client-key"], folder),
    tokenFile: absolute(user.tokenFile, folder),
    // As in client-go: a plain name is looked up on PATH, anything else is a path.
    exec: user.exec === undefined || !user.exec.command.includes("/")
      ? user.exec
      : { ...user.exec, command: absolute(user.exec.command, folder)! },
  };
}

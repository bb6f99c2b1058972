/** What is in deploy/, read. */

import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";

export const DEPLOY = fileURLToPath(new URL("../../deploy", import.meta.url));
export const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

/** An object of a manifest. */
// deno-lint-ignore no-explicit-any
export type Manifest = any;

/** The objects of a text of YAML. Throws on what is no YAML. */
export function objectsIn(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS();
  });
}

/** The one object of a file in deploy/base. */
export function base(name: string): Manifest {
  const [object] = objectsIn(Deno.readTextFileSync(`${DEPLOY}/base/${name}.yaml`));
  return object;
}

/** The arguments of a container of the DaemonSet, on a node. */
export function argumentsOf(container: string, node: string): string[] {
  const { initContainers, containers } = base("daemon-set").spec.template.spec;
  const found = [...initContainers, ...containers].find(({ name }) => name === container);
  return found.args.map((arg: string) => arg.replaceAll("$(NODE_NAME)", node));
}

/** The rights that the ClusterRole gives: "list services", "create events.k8s.io/events"; sorted. */
export function rights(): string[] {
  const { rules } = base("cluster-role");
  return rules.flatMap((rule: Record<"apiGroups" | "resources" | "verbs", string[]>) =>
    rule.apiGroups.flatMap((group) =>
      rule.resources.flatMap((resource) =>
        rule.verbs.map((verb) => `${verb} ${group === "" ? "" : `${group}/`}${resource}`)
      )
    )
  ).sort();
}

/** What the requests of an API server double need, in the same words. */
export function rightsFor(requests: readonly string[]): string[] {
  return [...new Set(requests.map(rightFor))].sort();
}

const RESOURCES: Readonly<Record<string, string>> = {
  Service: "services",
  Node: "nodes",
  EndpointSlice: "discovery.k8s.io/endpointslices",
  ServiceCIDR: "networking.k8s.io/servicecidrs",
  Event: "events.k8s.io/events",
};

function rightFor(request: string): string {
  const [verb, kind] = request.split(" ");
  return `${verb === "page" ? "list" : verb} ${RESOURCES[kind]}`;
}

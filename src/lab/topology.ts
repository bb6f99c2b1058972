/**
 * What the lab's network looks like, as data: who is there and with which addresses.
 *
 * ```
 *  client 192.168.50.100 ──┐                    ┌── pod 10.244.3.6
 *                          ├── node 192.168.50.10 ├── pod 10.244.1.7
 *  stranger 198.51.100.66 ─┘                    └── outside server 192.168.146.90
 * ```
 *
 * Every line is a veth pair; every name is a network namespace. All but the node have one
 * interface, eth0, and a default route to the node, so anyone can dial anyone and any Service
 * address. Pods of other nodes hang on the same node: that they are remote is policy, not wiring. The
 * first client is the node's gateway too; beyond it, every other address is unreachable.
 *
 * @module
 */

import {
  type EndpointSlice,
  type Pod,
  type Protocol,
  SERVICE_NAME_LABEL,
} from "../cluster/objects.ts";

/** A port on which a server in the lab answers. */
export interface ServerPort {
  readonly protocol: Protocol;
  readonly port: number;
}

/** A machine that serves: a pod, or a server outside the cluster. */
export interface Server {
  /** Unique; the name of its network namespace: "namespace/pod". */
  readonly name: string;
  /** What it answers with: a pod's name, as in the cluster. */
  readonly hostname: string;
  /** Canonical addresses, at least one; one of the node's own means that it is on the node's network. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServerPort[];
}

/** A machine that only dials. */
export interface Client {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** The node that is tested. */
export interface LabNode {
  readonly name: string;
  /** Canonical addresses, the primary one of each family first. */
  readonly addresses: readonly string[];
}

/** Name of the node's network namespace. */
export const NODE = "node";

/** The client outside the cluster that the lab's documentation speaks of. */
export const CLIENT: Client = {
  name: "client",
  addresses: ["192.168.50.100", "fd00:50::100"],
};

/** A client from a network that nobody allowed (RFC 5737, RFC 3849): source ranges shut it out. */
export const STRANGER: Client = {
  name: "stranger",
  addresses: ["198.51.100.66", "2001:db8:66::66"],
};

/** What the lab's own node is called and has, unless the manifests say otherwise. */
export const DEFAULT_NODE: LabNode = {
  name: "lab-node",
  addresses: ["192.168.50.10", "fd00:50::10"],
};

/** The MTU of every link, as in most clusters. */
export const MTU = 1500;

/** Every machine's gateway: the same two link-scope addresses on the node's end of each veth pair. */
export const GATEWAY = { IPv4: "169.254.1.1", IPv6: "fe80::1" } as const;

/**
 * The servers that a cluster's state asks for: one for each running pod, and one for each address
 * that EndpointSlices name but no pod has, such as those of a Service without selector.
 *
 * A pod serves on its containers' ports. As declaring them is optional, one that declares none
 * serves where EndpointSlices say.
 */
export function serversFor(pods: Iterable<Pod>, slices: Iterable<EndpointSlice>): Server[] {
  const endpoints = endpointPorts(slices);
  const servers: Server[] = [];
  for (const { metadata: { namespace, name }, spec, status } of pods) {
    const { podIPs: addresses, phase } = status;
    if (addresses.length === 0 || phase === "Succeeded" || phase === "Failed") continue;
    const declared = spec.containers.flatMap((container) =>
      container.ports.map(({ protocol, containerPort: port }) => ({ protocol, port }))
    );
    const named = addresses.flatMap((address) => endpoints.get(address)?.ports ?? []);
    servers.push({
      name: `${namespace}/${name}`,
      hostname: name,
      addresses,
      ports: declared.length > 0 ? declared : named,
    });
    for (const address of addresses) endpoints.delete(address);
  }
  for (const [address, { namespace, service, ports }] of endpoints) {
    const hostname = `${service}-${address}`;
    servers.push({ name: `${namespace}/${hostname}`, hostname, addresses: [address], ports });
  }
  return servers;
}

interface Endpoint {
  readonly namespace: string;
  readonly service: string;
  readonly ports: ServerPort[];
}

/** Who is at every address in EndpointSlices, with the ports of all slices. */
function endpointPorts(slices: Iterable<EndpointSlice>): Map<string, Endpoint> {
  const endpoints = new Map<string, Endpoint>();
  for (const { metadata, addressType, endpoints: listed, ports } of slices) {
    if (addressType === "FQDN") continue;
    const service = metadata.labels?.[SERVICE_NAME_LABEL] ?? metadata.name;
    for (const address of listed.flatMap((endpoint) => endpoint.addresses)) {
      const endpoint = endpoints.get(address) ??
        { namespace: metadata.namespace, service, ports: [] };
      endpoints.set(address, endpoint);
      for (const { protocol = "TCP", port } of ports) {
        if (port !== undefined) endpoint.ports.push({ protocol, port });
      }
    }
  }
  return endpoints;
}

/** How the servers that are there become those that are wanted. Changed ones are in both lists. */
export interface ServerChange {
  readonly remove: readonly string[];
  readonly add: readonly Server[];
}

/** The smallest change from what is there to what is wanted; servers that stay are left alone. */
export function diffServers(
  present: ReadonlyMap<string, Server>,
  wanted: readonly Server[],
): ServerChange {
  const byName = new Map(wanted.map((server) => [server.name, server]));
  const same = (a: Server, b: Server | undefined) =>
    b !== undefined && JSON.stringify(identity(a)) === JSON.stringify(identity(b));
  return {
    remove: [...present.values()].filter((server) => !same(server, byName.get(server.name)))
      .map((server) => server.name),
    add: [...byName.values()].filter((server) => !same(server, present.get(server.name))),
  };
}

function identity(server: Server): unknown[] {
  const ports = server.ports.map(({ protocol, port }) => `${protocol} ${port}`);
  return [server.hostname, [...server.addresses].sort(), [...new Set(ports)].sort()];
}

/**
 * The name that a user meant: an exact one, else the only one that it begins, with or without the
 * namespace in front. Throws with the candidates when there are none or several.
 */
export function resolveName(names: readonly string[], asked: string): string {
  if (names.includes(asked)) return asked;
  const withoutNamespace = (name: string) => name.slice(name.indexOf("/") + 1);
  const exact = names.filter((name) => withoutNamespace(name) === asked);
  if (exact.length === 1) return exact[0];
  const begun = names.filter((name) =>
    asked !== "" && (name.startsWith(asked) || withoutNamespace(name).startsWith(asked))
  );
  if (begun.length === 1) return begun[0];
  throw new Error(
    begun.length === 0
      ? `nothing in the lab is called ${JSON.stringify(asked)}; there are: ${names.join(", ")}`
      : `${JSON.stringify(asked)} could be ${begun.join(", ")}`,
  );
}

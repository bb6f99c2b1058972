/**
 * A slow and obvious plan: everything from all objects, every time. It shares no code with
 * src/services or src/plan, so that both have to be right in the same way.
 *
 * @module
 */

import type { ClusterObject, EndpointSlice, Node, Service } from "../../src/cluster/objects.ts";
import {
  type Family,
  familyOf,
  formatNetwork,
  networkContains,
  parseAddress,
  parseNetwork,
} from "../../src/net/address.ts";
import type { Backend, Frontend, NodeInfo, Route, ServicePlan } from "../../src/plan/plan.ts";
import type { PlannerConfig } from "../../src/plan/node.ts";

/** The plan for these objects, Services sorted by "namespace/name". */
export function modelPlan(
  config: PlannerConfig,
  objects: readonly ClusterObject[],
): { node: NodeInfo; services: ServicePlan[] } {
  const nodeObject = objects.find((object): object is Node =>
    object.kind === "Node" && object.metadata.name === config.nodeName
  );
  const hidden = (object: ClusterObject) =>
    "service.kubernetes.io/service-proxy-name" in (object.metadata.labels ?? {}) ||
    "service.kubernetes.io/headless" in (object.metadata.labels ?? {});
  const services = objects.filter((object): object is Service =>
    object.kind === "Service" && !hidden(object)
  ).sort((a, b) => id(a) < id(b) ? -1 : 1);
  const slices = objects.filter((object): object is EndpointSlice =>
    object.kind === "EndpointSlice" && !hidden(object)
  ).sort((a, b) => a.metadata.name < b.metadata.name ? -1 : 1);

  const node = modelNode(config, nodeObject);
  const taken = new Set<string>();
  return {
    node: node.info,
    services: services.map((service) => {
      const own = slices.filter((slice) =>
        slice.metadata.namespace === service.metadata.namespace &&
        slice.metadata.labels?.["kubernetes.io/service-name"] === service.metadata.name
      );
      return modelService(config, node, service, own, taken);
    }),
  };
}

function id(object: ClusterObject): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}

interface ModelNode {
  info: NodeInfo;
  zone: string;
  primary: Record<Family, string>;
}

function modelNode(config: PlannerConfig, node: Node | undefined): ModelNode {
  let addresses = config.nodeAddresses.map((text) => parseAddress(text)!);
  if (addresses.length === 0) {
    const all = node?.status?.addresses ?? [];
    addresses = [
      ...all.filter((entry) => entry.type === "InternalIP"),
      ...all.filter((entry) => entry.type === "ExternalIP"),
    ].map((entry) => parseAddress(entry.address)!);
  }
  const first4 = addresses.find((address) => !address.includes(":"));
  const first6 = addresses.find((address) => address.includes(":"));
  const firsts = addresses.filter((address) => address === first4 || address === first6);
  const ordered: string[] = [];
  for (
    const address of [
      ...firsts,
      ...addresses,
      ...(config.localAddresses ?? []).map((text) => parseAddress(text)!),
    ]
  ) {
    const loopback = address.startsWith("127.") || address === "::1";
    if (!loopback && !ordered.includes(address)) ordered.push(address);
  }
  let nodePortAddresses = ordered;
  if (config.nodePortAddresses[0] === "primary") {
    nodePortAddresses = ordered.filter((address) => address === first4 || address === first6);
  } else {
    const cidrs = config.nodePortAddresses.map((text) => parseNetwork(text)!);
    nodePortAddresses = ordered.filter((address) => {
      const ofFamily = cidrs.filter((cidr) => cidr.family === familyOf(address));
      if (ofFamily.length === 0) return true;
      if (ofFamily.some((cidr) => cidr.prefix === 0)) return true;
      return ofFamily.some((cidr) => networkContains(cidr, address));
    });
  }
  let pods: string[] = [];
  if (config.detectLocalMode === "ClusterCIDR") pods = [...config.clusterCIDRs];
  if (config.detectLocalMode === "NodeCIDR") pods = [...node?.spec?.podCIDRs ?? []];
  const pod4 = pods.find((text) => !text.includes(":"));
  const pod6 = pods.find((text) => text.includes(":"));
  return {
    info: {
      name: config.nodeName,
      addresses: ordered,
      nodePortAddresses,
      podNetworks: pods.filter((text) => text === pod4 || text === pod6)
        .map((text) => formatNetwork(parseNetwork(text)!)),
    },
    zone: node?.metadata.labels?.["topology.kubernetes.io/zone"] ?? "",
    primary: { IPv4: first4 ?? "127.0.0.1", IPv6: first6 ?? "::1" },
  };
}

interface Candidate extends Backend {
  zoneHints: string[];
  nodeHints: string[];
}

function modelEndpoints(
  config: PlannerConfig,
  slices: readonly EndpointSlice[],
  family: Family,
  portName: string,
  protocol: string,
): Candidate[] {
  const found: Record<string, Candidate> = {};
  for (const slice of slices) {
    if (slice.addressType !== family) continue;
    for (const port of slice.ports) {
      if ((port.name ?? "") !== portName || (port.protocol ?? "TCP") !== protocol) continue;
      if (!port.port) continue;
      for (const entry of slice.endpoints) {
        if (entry.addresses.length === 0) continue;
        const address = parseAddress(entry.addresses[0]);
        if (address === null) continue;
        const key = family === "IPv6" ? `[${address}]:${port.port}` : `${address}:${port.port}`;
        const terminating = entry.conditions?.terminating === true;
        if (key in found && terminating) continue;
        found[key] = {
          address,
          port: port.port,
          weight: 1,
          ready: entry.conditions?.ready !== false,
          serving: entry.conditions?.serving !== false,
          terminating,
          local: config.nodeName !== "" && entry.nodeName === config.nodeName,
          ...(entry.nodeName !== undefined && { node: entry.nodeName }),
          ...(entry.zone !== undefined && { zone: entry.zone }),
          ...(entry.targetRef?.kind === "Pod" && {
            pod: `${entry.targetRef.namespace}/${entry.targetRef.name}`,
          }),
          zoneHints: entry.hints?.forZones?.map((zone) => zone.name) ?? [],
          nodeHints: entry.hints?.forNodes?.map((node) => node.name) ?? [],
        };
      }
    }
  }
  return Object.keys(found).sort().map((key) => found[key]);
}

function strip(candidate: Candidate): Backend {
  const { zoneHints: _zones, nodeHints: _nodes, ...backend } = candidate;
  return backend;
}

function modelService(
  config: PlannerConfig,
  node: ModelNode,
  service: Service,
  slices: readonly EndpointSlice[],
  taken: Set<string>,
): ServicePlan {
  const { spec, metadata } = service;
  const headless = spec.clusterIP === "None";
  const plan = {
    namespace: metadata.namespace,
    name: metadata.name,
    type: spec.type,
    headless,
    ...(spec.type === "ExternalName" && { externalName: spec.externalName }),
    ports: [] as ServicePlan["ports"][number][],
    healthCheckNodePort: spec.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local"
      ? spec.healthCheckNodePort ?? 0
      : 0,
    localReadyEndpoints: 0,
  };
  for (const family of config.families) {
    const ready = new Set<string>();
    for (const name of new Set(slices.flatMap((slice) => slice.ports.map((p) => p.name ?? "")))) {
      for (const protocol of ["TCP", "UDP", "SCTP"]) {
        for (const ep of modelEndpoints(config, slices, family, name, protocol)) {
          if (ep.local && ep.ready) ready.add(ep.address);
        }
      }
    }
    plan.localReadyEndpoints = Math.max(plan.localReadyEndpoints, ready.size);
  }
  if (headless || !spec.clusterIP || spec.type === "ExternalName") return plan;

  for (const port of spec.ports) {
    for (const family of ["IPv4", "IPv6"] as const) {
      if (!config.families.includes(family)) continue;
      const inFamily = (texts: readonly string[]) =>
        texts.map(parseAddress).filter((ip): ip is string => ip !== null)
          .filter((ip) => familyOf(ip) === family);
      const clusterIP = inFamily(
        spec.clusterIPs && spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP],
      )[0];
      if (clusterIP === undefined) continue;
      const externalIPs = inFamily(spec.externalIPs ?? []);
      const vips = inFamily(
        (service.status?.loadBalancer?.ingress ?? [])
          .filter((entry) => entry.ip && (entry.ipMode ?? "VIP") === "VIP")
          .map((entry) => entry.ip!),
      );
      const ranges = (spec.loadBalancerSourceRanges ?? []).map((text) => parseNetwork(text.trim()))
        .filter((range) => range !== null).filter((range) => range.family === family);

      // Which endpoints.
      const all = modelEndpoints(config, slices, family, port.name ?? "", port.protocol);
      const accessible = Boolean(port.nodePort) || vips.length > 0 || externalIPs.length > 0;
      const iLocal = spec.internalTrafficPolicy === "Local";
      const eLocal = spec.externalTrafficPolicy === "Local" &&
        (spec.type !== "ClusterIP" || (spec.externalIPs ?? []).length > 0);
      let cluster: Candidate[] = [];
      let hasAny = false;
      if (!iLocal || accessible) {
        const readyOnes = all.filter((ep) => ep.ready);
        let allowed = (_: Candidate) => true;
        const byNode = readyOnes.every((ep) => ep.nodeHints.length > 0) &&
          readyOnes.some((ep) => ep.nodeHints.includes(config.nodeName));
        const byZone = node.zone !== "" && readyOnes.every((ep) => ep.zoneHints.length > 0) &&
          readyOnes.some((ep) => ep.zoneHints.includes(node.zone));
        if (byNode) allowed = (ep) => ep.nodeHints.includes(config.nodeName);
        else if (byZone) allowed = (ep) => ep.zoneHints.includes(node.zone);
        cluster = readyOnes.filter(allowed);
        if (cluster.length === 0) cluster = all.filter((ep) => ep.serving && ep.terminating);
        hasAny = cluster.length > 0;
      }
      let local: Candidate[] = [];
      if (iLocal || (eLocal && accessible)) {
        if (all.some((ep) => ep.ready || (ep.serving && ep.terminating))) hasAny = true;
        local = all.filter((ep) => ep.local && ep.ready);
        if (local.length === 0) {
          local = all.filter((ep) => ep.local && ep.serving && ep.terminating);
        }
      }

      // What happens to connections.
      const detector = node.info.podNetworks.some((network) =>
        parseNetwork(network)!.family === family
      );
      const routes = (internal: boolean) => {
        const route = (source: "pod" | "node" | "outside"): Route => {
          if (!hasAny) return { action: "reject" };
          if (internal) {
            if (iLocal && local.length === 0) return { action: "drop" };
            const masquerade = config.masqueradeAll || (detector && source !== "pod");
            return { action: "forward", to: iLocal ? "local" : "cluster", masquerade };
          }
          if (!eLocal) return { action: "forward", to: "cluster", masquerade: true };
          if (source === "pod" && detector) {
            return { action: "forward", to: "cluster", masquerade: false };
          }
          if (source === "node") return { action: "forward", to: "cluster", masquerade: true };
          if (local.length === 0) return { action: "drop" };
          return { action: "forward", to: "local", masquerade: false };
        };
        return { pod: route("pod"), node: route("node"), outside: route("outside") };
      };

      // At which addresses.
      let sourceRanges: string[] | null = null;
      if (ranges.length > 0) {
        sourceRanges = ranges.map(formatNetwork);
        if (ranges.some((range) => networkContains(range, node.primary[family]))) {
          sourceRanges.push(...vips.map((vip) => `${vip}/${family === "IPv4" ? 32 : 128}`));
        }
        sourceRanges = [...new Set(sourceRanges)];
      }
      const frontends: Frontend[] = [];
      const add = (kind: Frontend["kind"], address: string | null, number: number) => {
        const key = `${address ?? family}|${number}|${port.protocol}`;
        if (taken.has(key)) return;
        taken.add(key);
        frontends.push({
          kind,
          address,
          port: number,
          routes: routes(kind === "ClusterIP"),
          sourceRanges: kind === "LoadBalancer" ? sourceRanges : null,
        });
      };
      add("ClusterIP", clusterIP, port.port);
      for (const ip of externalIPs) add("ExternalIP", ip, port.port);
      for (const ip of vips) add("LoadBalancer", ip, port.port);
      if (port.nodePort) add("NodePort", null, port.nodePort);

      plan.ports.push({
        namespace: metadata.namespace,
        service: metadata.name,
        portName: port.name ?? "",
        protocol: port.protocol,
        family,
        scheduler: config.scheduler,
        affinitySeconds: spec.sessionAffinity === "ClientIP"
          ? spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10800
          : null,
        internalTrafficPolicy: iLocal ? "Local" : "Cluster",
        externalTrafficPolicy: eLocal ? "Local" : "Cluster",
        cluster: cluster.map(strip),
        local: local.map(strip),
        endpoints: all.map(strip),
        hasEndpoints: hasAny,
        frontends,
      });
    }
  }
  return plan;
}

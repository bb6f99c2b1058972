/**
 * Brings the engine's tables from one plan to the next, so that what survives keeps its id: its
 * connections, its scheduler's position, its affinities.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { Protocol } from "../cluster/objects.ts";
import { type Family, familyOf, formatSocketAddress, parseNetwork } from "../net/address.ts";
import {
  type Backend,
  type Frontend,
  type NodeInfo,
  type PlanChange,
  type Route,
  serviceKey,
  type ServicePlan,
  servicePortName,
  type ServicePortPlan,
} from "../plan/plan.ts";
import {
  familyNumber,
  FRONTEND_KINDS,
  FrontendRecord,
  NetworkList,
  NetworkRecord,
  PoolChange,
  PoolKind,
  PoolRecord,
  PROTOCOL_NUMBERS,
  RouteBits,
  SCHEDULER_FLAGS,
  SCHEDULERS,
  SOURCE_CLASSES,
} from "./abi.ts";
import type { EngineExports } from "./module.ts";
import type { Scratch } from "./scratch.ts";

const logger = getLogger(["switchyard", "engine"]);

const NO_RANGES = 0xffffffff;

/** A backend of the plan in the engine. */
export interface KnownBackend {
  readonly id: number;
  readonly service: string;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}

interface Place {
  readonly id: number;
  readonly generation: number;
}

interface PortState {
  readonly id: number;
  readonly name: string;
  readonly protocol: Protocol;
  readonly backends: Map<string, Place>;
  /** Removed backends that the engine may still have, to be taken back with their counters. */
  readonly leaving: Map<string, Place>;
  frontends: number[];
}

/** Changes that engines have taken over. */
let revisions = 0;

/** The plan as the engine has it. */
export class PlanTables {
  readonly #engine: EngineExports;
  readonly #scratch: Scratch;
  readonly #masquerade: readonly string[] | null;
  /** By "namespace/name", then by port. */
  readonly #services = new Map<string, Map<string, PortState>>();
  /** By id. */
  readonly #ports = new Map<number, { readonly name: string; readonly revision: number }>();
  readonly #backends = new Map<number, KnownBackend & { readonly generation: number }>();
  readonly #live = new Set<number>();
  #revision = 0;

  /** @param masquerade addresses to masquerade to; null: the node's first of each family. */
  constructor(engine: EngineExports, scratch: Scratch, masquerade: readonly string[] | null) {
    this.#engine = engine;
    this.#scratch = scratch;
    this.#masquerade = masquerade;
    if (masquerade !== null) this.#setMasquerade(masquerade);
  }

  /**
   * Takes over a change. What does not fit into a full table is left out, and said in the log; the
   * rest works.
   */
  apply({ node, updated, removed }: PlanChange): void {
    this.#revision = ++revisions;
    if (node !== null) this.#setNode(node);
    // A frontend may pass from one Service to another: all leave before any takes its place.
    for (const key of removed) this.#removeFrontends(key);
    for (const service of updated) this.#removeFrontends(serviceKey(service));
    for (const key of removed) this.#removeService(key);
    for (const service of updated) this.#update(service);
  }

  /**
   * Another number after each change of a Service port, or of anything when none is given, and in
   * each engine.
   */
  revision(servicePort: number): number {
    return this.#ports.get(servicePort)?.revision ?? this.#revision;
  }

  /** kube-proxy's service port name of an id. */
  serviceName(servicePort: number): string | null {
    return this.#ports.get(servicePort)?.name ?? null;
  }

  /** The backend of an id, also of one that has left the plan and only has connections. */
  backend(id: number): KnownBackend | null {
    const known = this.#backends.get(id);
    return known?.generation === this.#engine.backendGeneration(id) ? known : null;
  }

  /** All backends in the plan. */
  *backends(): Iterable<KnownBackend> {
    for (const id of this.#live) yield this.#backends.get(id)!;
  }

  #setNode(node: NodeInfo): void {
    const loopback = ["127.0.0.0/8", "::1"];
    this.#setNetworks(NetworkList.Pods, node.podNetworks);
    this.#setNetworks(NetworkList.Node, [...node.addresses, ...loopback]);
    this.#setNetworks(NetworkList.NodePorts, node.nodePortAddresses);
    if (this.#masquerade === null) this.#setMasquerade(node.addresses);
  }

  #setNetworks(list: NetworkList, texts: readonly string[]): void {
    for (const family of ["IPv4", "IPv6"] as const) {
      const networks = texts.map((text) => parseNetwork(text))
        .filter((network) => network?.family === family);
      networks.forEach((network, i) =>
        this.#scratch.writeNetwork(i * NetworkRecord.Size, network!)
      );
      if (!this.#engine.networksSet(list, familyNumber(family), networks.length)) {
        logger.error(
          "{count} {family} networks are too many for the engine: list {list} unchanged",
          {
            count: networks.length,
            family,
            list: NetworkList[list],
          },
        );
      }
    }
  }

  #setMasquerade(addresses: readonly string[]): void {
    for (const family of ["IPv4", "IPv6"] as const) {
      const address = addresses.find((candidate) => familyOf(candidate) === family);
      if (address !== undefined) this.#scratch.writeAddress(0, address);
      if (this.#engine.masqueradeSet(familyNumber(family), address !== undefined)) continue;
      logger.error(
        "connections have too many former {family} addresses: no masquerade to {address}",
        {
          family,
          address,
        },
      );
    }
  }

  #removeFrontends(key: string): void {
    for (const port of this.#services.get(key)?.values() ?? []) {
      for (const id of port.frontends) this.#engine.frontendRemove(id);
      port.frontends = [];
    }
  }

  #removeService(key: string): void {
    for (const port of this.#services.get(key)?.values() ?? []) this.#removePort(port);
    this.#services.delete(key);
  }

  #removePort(port: PortState): void {
    this.#setPool(port, PoolKind.Cluster, []);
    this.#setPool(port, PoolKind.Local, []);
    for (const key of [...port.backends.keys()]) this.#removeBackend(port, key);
    this.#engine.servicePortRemove(port.id);
    this.#ports.delete(port.id);
  }

  #update(service: ServicePlan): void {
    const key = serviceKey(service);
    const before = this.#services.get(key) ?? new Map<string, PortState>();
    const after = new Map<string, PortState>();
    const wanted = new Set(service.ports.map(portKey));
    for (const [name, port] of before) if (!wanted.has(name)) this.#removePort(port);
    for (const plan of service.ports) {
      const port = before.get(portKey(plan)) ?? this.#addPort(plan);
      if (port === null) continue;
      after.set(portKey(plan), port);
      this.#updatePort(port, plan);
    }
    if (after.size > 0) this.#services.set(key, after);
    else this.#services.delete(key);
  }

  #addPort(plan: ServicePortPlan): PortState | null {
    const id = this.#engine.servicePortAdd();
    const name = servicePortName(plan);
    if (id === 0) {
      logger.error("no room for Service port {name}: it is not served", { name });
      return null;
    }
    return {
      id,
      name,
      protocol: plan.protocol,
      backends: new Map(),
      leaving: new Map(),
      frontends: [],
    };
  }

  #updatePort(port: PortState, plan: ServicePortPlan): void {
    const affinityMs = Math.min((plan.affinitySeconds ?? 0) * 1000, 0xffffffff);
    const flags = (plan.schedulerFlags ?? []).reduce(
      (bits, name) => bits | SCHEDULER_FLAGS[name],
      0,
    );
    this.#engine.servicePortUpdate(port.id, SCHEDULERS[plan.scheduler], flags, affinityMs);
    // Also those that only finish what they have: their connections are not stale yet.
    const serving = plan.endpoints.filter((endpoint) => endpoint.serving);
    const wanted = new Map(
      [...plan.cluster, ...plan.local, ...serving].map((backend) => [backendKey(backend), backend]),
    );
    for (const [key, backend] of wanted) {
      if (!port.backends.has(key)) this.#addBackend(port, key, backend, plan.family);
    }
    this.#setPool(port, PoolKind.Cluster, plan.cluster);
    this.#setPool(port, PoolKind.Local, plan.local);
    for (const key of [...port.backends.keys()]) {
      if (!wanted.has(key)) this.#removeBackend(port, key);
    }
    this.#forgetGone(port);
    for (const frontend of plan.frontends) this.#putFrontend(port, plan, frontend);
    this.#ports.set(port.id, { name: port.name, revision: this.#revision });
  }

  /** Removed backends that the engine has no more don't come back as what they were. */
  #forgetGone(port: PortState): void {
    for (const [key, { id, generation }] of port.leaving) {
      if (!this.#engine.backendIsLeaving(id, generation)) port.leaving.delete(key);
    }
  }

  #addBackend(port: PortState, key: string, backend: Backend, family: Family): void {
    const left = port.leaving.get(key);
    port.leaving.delete(key);
    if (left !== undefined && this.#engine.backendRevive(left.id, left.generation, port.id)) {
      port.backends.set(key, left);
      this.#live.add(left.id);
      return;
    }
    this.#scratch.writeAddress(0, backend.address);
    const id = this.#engine.backendAdd(port.id, backend.port, familyNumber(family));
    if (id === 0) {
      logger.error("no room for backend {backend} of {name}", { backend: key, name: port.name });
      return;
    }
    const generation = this.#engine.backendGeneration(id);
    port.backends.set(key, { id, generation });
    this.#live.add(id);
    this.#backends.set(id, {
      id,
      generation,
      service: port.name,
      protocol: port.protocol,
      address: backend.address,
      port: backend.port,
    });
  }

  #removeBackend(port: PortState, key: string): void {
    const place = port.backends.get(key)!;
    this.#engine.backendRemove(place.id);
    port.backends.delete(key);
    this.#live.delete(place.id);
    port.leaving.set(key, place);
  }

  #setPool(port: PortState, kind: PoolKind, backends: readonly Backend[]): void {
    const room = Math.floor(this.#scratch.size / PoolRecord.Size);
    let count = 0;
    for (const backend of backends) {
      const place = port.backends.get(backendKey(backend));
      if (place === undefined || count === room) continue;
      const at = count++ * PoolRecord.Size;
      this.#scratch.view.setUint32(at + PoolRecord.Backend, place.id, true);
      this.#scratch.view.setUint32(at + PoolRecord.Weight, backend.weight, true);
    }
    const change: PoolChange = this.#engine.poolSet(port.id, kind, count);
    if (change === PoolChange.Done) return;
    const text = change === PoolChange.Refused
      ? "no room for the {count} backends of {name}: the former ones stay"
      : "no room for the scheduler's table over the {count} backends of {name}: it uses rr";
    logger.error(text, { count, name: port.name });
  }

  #putFrontend(port: PortState, plan: ServicePortPlan, frontend: Frontend): void {
    const { view } = this.#scratch;
    this.#scratch.clear(0, FrontendRecord.Ranges);
    if (frontend.address !== null) {
      this.#scratch.writeAddress(FrontendRecord.Address, frontend.address);
    }
    view.setUint16(FrontendRecord.Port, frontend.port, true);
    view.setUint8(FrontendRecord.Protocol, PROTOCOL_NUMBERS[plan.protocol]);
    view.setUint8(FrontendRecord.Family, familyNumber(plan.family));
    SOURCE_CLASSES.forEach((name, i) =>
      view.setUint8(FrontendRecord.Routes + i, routeBits(frontend.routes[name]))
    );
    view.setUint8(FrontendRecord.Kind, FRONTEND_KINDS.indexOf(frontend.kind));
    view.setUint32(FrontendRecord.ServicePort, port.id, true);
    view.setUint32(FrontendRecord.RangeCount, this.#writeRanges(plan, frontend), true);
    const id = this.#engine.frontendPut();
    if (id !== 0) {
      port.frontends.push(id);
      return;
    }
    logger.error("no room for frontend {frontend} of {name}: it is not served", {
      frontend: formatSocketAddress(frontend.address ?? "0.0.0.0", frontend.port),
      name: port.name,
    });
  }

  /** Ranges of the other family contain no address of this one, and are left out. */
  #writeRanges(plan: ServicePortPlan, frontend: Frontend): number {
    if (frontend.sourceRanges === null) return NO_RANGES;
    const ranges = frontend.sourceRanges.map((range) => parseNetwork(range))
      .filter((range) => range?.family === plan.family);
    ranges.forEach((range, i) =>
      this.#scratch.writeNetwork(FrontendRecord.Ranges + i * NetworkRecord.Size, range!)
    );
    return ranges.length;
  }
}

function portKey(port: ServicePortPlan): string {
  return `${port.portName}/${port.protocol}/${port.family}`;
}

function backendKey(backend: Backend): string {
  return formatSocketAddress(backend.address, backend.port);
}

function routeBits(route: Route): number {
  if (route.action === "reject") return RouteBits.Reject;
  if (route.action === "drop") return RouteBits.Drop;
  return RouteBits.Forward | (route.to === "local" ? RouteBits.Local : 0) |
    (route.masquerade ? RouteBits.Masquerade : 0);
}

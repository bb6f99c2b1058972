/**
 * An engine on a bench: a plan of a few Services, a clock that the test moves, one packet at a time
 * in and out. Every packet that comes out is checked by full recomputation of its checksums.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describeVerdict, PacketVerdict } from "../../src/engine/abi.ts";
import { Engine, type EngineOptions } from "../../src/engine/engine.ts";
import type { ConntrackEntry } from "../../src/engine/handle.ts";
import { familyOf } from "../../src/net/address.ts";
import type {
  Backend,
  Frontend,
  NodeInfo,
  Route,
  SchedulerFlagName,
  SchedulerName,
  ServicePlan,
} from "../../src/plan/plan.ts";
import { readyBackend, serviceOf, servicePort } from "../plan/service_plan.ts";
import { buildPacket, checksumError, type PacketSpec, route } from "./packets.ts";

/** A small engine. */
export const SMALL: EngineOptions = {
  seed: 42n,
  connections: 1024,
  slots: 8,
  servicePorts: 64,
  frontends: 128,
  backends: 512,
  affinities: 64,
  keptSyns: 32,
};

export const NODE: NodeInfo = {
  name: "node-1",
  addresses: ["10.60.0.1", "fd00:60::1"],
  nodePortAddresses: ["10.60.0.1", "fd00:60::1"],
  podNetworks: ["10.244.0.0/16", "fd00:244::/64"],
};

/** "address:port" → a backend; with weight after "*". */
export function backend(text: string): Backend {
  const [place, weight = "1"] = text.split("*");
  const colon = place.lastIndexOf(":");
  const address = place.slice(0, colon).replace(/[[\]]/g, "");
  return readyBackend(address, Number(place.slice(colon + 1)), { weight: Number(weight) });
}

/** What a test says about a Service with one port. */
export interface ServiceSpec {
  readonly name?: string;
  readonly protocol?: "TCP" | "UDP" | "SCTP";
  readonly frontends?: readonly (Partial<Frontend> & { readonly port: number })[];
  readonly address?: string;
  readonly port?: number;
  /** In the order in which schedulers meet new ones: the plan's reversed, see asm/tables/pools.ts. */
  readonly backends: readonly string[];
  readonly local?: readonly string[];
  readonly scheduler?: SchedulerName;
  readonly schedulerFlags?: readonly SchedulerFlagName[];
  readonly affinitySeconds?: number;
  readonly masquerade?: boolean;
  readonly route?: Route;
}

export function service(spec: ServiceSpec): ServicePlan {
  const name = spec.name ?? "web";
  const address = spec.address ?? "10.99.9.9";
  const standard: Route = spec.route ??
    (spec.backends.length === 0
      ? { action: "reject" }
      : { action: "forward", to: "cluster", masquerade: spec.masquerade ?? false });
  const routes = { pod: standard, node: standard, outside: standard };
  const frontends = spec.frontends ?? [{ port: spec.port ?? 80 }];
  const cluster = spec.backends.map(backend).toReversed();
  const local = (spec.local ?? []).map(backend).toReversed();
  const port = servicePort({
    service: name,
    protocol: spec.protocol ?? "TCP",
    family: familyOf(frontends[0].address ?? address),
    scheduler: spec.scheduler ?? "rr",
    schedulerFlags: spec.schedulerFlags,
    affinitySeconds: spec.affinitySeconds ?? null,
    cluster,
    local,
    endpoints: [...cluster, ...local],
    hasEndpoints: cluster.length > 0,
    frontends: frontends.map((frontend) => ({
      kind: "ClusterIP",
      address,
      routes,
      sourceRanges: null,
      ...frontend,
    })),
  });
  return serviceOf([port]);
}

/** What came out of the engine. */
export interface Output {
  /** As {@link describeVerdict} puts it. */
  readonly verdict: string;
  /** A copy of the slot's bytes; empty when dropped. */
  readonly bytes: Uint8Array;
  /** "source:port > dest:port"; "" when dropped. */
  readonly route: string;
}

/** The bench. */
export class Bench {
  readonly engine: Engine;
  nowMs = 1000;

  constructor(services: readonly ServiceSpec[], options: Partial<EngineOptions> = {}) {
    this.engine = Engine.create({ ...SMALL, ...options });
    this.engine.apply({ node: NODE, updated: services.map(service), removed: [] });
  }

  update(...services: readonly ServiceSpec[]): void {
    this.engine.apply({ node: null, updated: services.map(service), removed: [] });
  }

  remove(...names: readonly string[]): void {
    const removed = names.map((name) => `default/${name}`);
    this.engine.apply({ node: null, updated: [], removed });
  }

  /** Sends a packet as bytes, virtio-net header first. */
  sendBytes(packet: Uint8Array): Output {
    const slot = this.engine.slotBytes(0);
    slot.set(packet);
    this.engine.setLength(0, packet.length);
    this.engine.process(0, 1, this.nowMs);
    const verdict = this.engine.verdict(0);
    const text = describeVerdict(verdict, this.engine.detail(0));
    if (verdict === PacketVerdict.Drop) {
      assert.equal(this.engine.outputLength(0), 0);
      return { verdict: text, bytes: new Uint8Array(0), route: "" };
    }
    const bytes = slot.slice(0, this.engine.outputLength(0));
    assert.equal(checksumError(bytes), null);
    return { verdict: text, bytes, route: route(bytes) };
  }

  send(spec: PacketSpec): Output {
    return this.sendBytes(buildPacket(spec));
  }

  /** The only connection. */
  connection(): ConntrackEntry {
    const { entries } = this.engine.conntrack(0, 10, this.nowMs);
    assert.equal(entries.length, 1);
    return entries[0];
  }

  connections(): ConntrackEntry[] {
    const found: ConntrackEntry[] = [];
    for (let cursor: number | null = 0; cursor !== null;) {
      const page = this.engine.conntrack(cursor, 100, this.nowMs);
      found.push(...page.entries);
      cursor = page.next;
    }
    return found;
  }

  dropped(): Record<string, number> {
    const { dropped } = this.engine.counters();
    return Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0));
  }
}

/**
 * The Services and EndpointSlices that concern this proxy, and which of them changed.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import type { ClusterChange } from "../cluster/source.ts";
import {
  type EndpointSlice,
  HEADLESS_LABEL,
  objectKey,
  PROXY_NAME_LABEL,
  type Service,
} from "../cluster/objects.ts";
import { type Family, formatSocketAddress } from "../net/address.ts";
import { mergeEndpoints } from "./endpoints.ts";
import { describeService, type ServiceInfo, type ServicePort } from "./service_port.ts";
import { describeSlice, serviceOfSlice, type SliceInfo } from "./slices.ts";

/** All that is known of one "namespace/name": the Service may still be missing, or be gone. */
export interface TrackedService {
  readonly info: ServiceInfo | null;
  /** By name. */
  readonly slices: ReadonlyMap<string, SliceInfo>;
}

/**
 * A UDP Service port that changed, came or went: UDP has no teardown, so conntrack entries to the
 * removed endpoints, or made before there was any, must be deleted by hand.
 */
export interface UdpChange {
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
  readonly family: Family;
  /** "address:port" of endpoints that serve now and did not before. */
  readonly added: readonly string[];
  /** "address:port" of endpoints that served and do not any more. */
  readonly removed: readonly string[];
}

/** What changed since the last drain. */
export interface TrackerChanges {
  /** "namespace/name" of Services that, or whose endpoints, are different. */
  readonly services: ReadonlySet<string>;
  readonly udp: readonly UdpChange[];
}

interface Entry {
  info: ServiceInfo | null;
  slices: Map<string, SliceInfo>;
}

const NOTHING: TrackedService = { info: null, slices: new Map() };

/**
 * Keeps the current state and tells what became different. A change that a proxy would not notice
 * (metadata, a selector, an annotation of a slice) is none, and neither is one that was undone
 * before the next drain.
 */
export class ServiceTracker {
  readonly #families: readonly Family[];
  readonly #entries = new Map<string, Entry>();
  /** Which Service each slice was last seen to belong to, by "namespace/name" of the slice. */
  readonly #sliceOwners = new Map<string, string>();
  /** What changed entries were at the last drain. */
  readonly #pending = new Map<string, TrackedService>();

  /** Objects of other families are ignored. */
  constructor(families: readonly Family[]) {
    this.#families = families;
  }

  /**
   * A tracker with the same state that goes its own way. Infos are shared, so that it costs a copy
   * of the maps. What changed since the last drain is not pending in it.
   */
  fork(): ServiceTracker {
    const fork = new ServiceTracker(this.#families);
    for (const [key, { info, slices }] of this.#entries) {
      // An entry is copied before its first change behind a drain; one that was changed since is not.
      fork.#entries.set(
        key,
        this.#pending.has(key) ? { info, slices: new Map(slices) } : { info, slices },
      );
    }
    for (const [slice, owner] of this.#sliceOwners) fork.#sliceOwners.set(slice, owner);
    return fork;
  }

  /** Whether an EndpointSlice, by "namespace/name", is tracked. */
  hasSlice(key: string): boolean {
    return this.#sliceOwners.has(key);
  }

  /** Takes over a batch of changes; objects of other kinds are ignored. */
  apply(changes: readonly ClusterChange[]): void {
    for (const { action, object } of changes) {
      if (object.kind === "Service") this.#applyService(object, action);
      else if (object.kind === "EndpointSlice") this.#applySlice(object, action);
    }
  }

  /** What is known of a "namespace/name" now. */
  get(key: string): TrackedService {
    return this.#entries.get(key) ?? NOTHING;
  }

  /** "namespace/name" of everything that is known. */
  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** What is different from the last drain, and takes this state as the new base. */
  drain(): TrackerChanges {
    const services = new Set<string>();
    const udp: UdpChange[] = [];
    for (const [key, before] of this.#pending) {
      const after = this.get(key);
      if (isDeepStrictEqual(before, { info: after.info, slices: after.slices })) continue;
      services.add(key);
      udp.push(...udpChanges(before, after));
    }
    this.#pending.clear();
    return { services, udp };
  }

  #applyService(service: Service, action: ClusterChange["action"]): void {
    const key = objectKey(service);
    const gone = action === "delete" || !isOurs(service);
    const info = gone ? null : describeService(service, this.#families);
    if (isDeepStrictEqual(info, this.get(key).info)) return;
    this.#change(key, (entry) => entry.info = info);
  }

  #applySlice(slice: EndpointSlice, action: ClusterChange["action"]): void {
    const key = objectKey(slice);
    const { name } = slice.metadata;
    const gone = action === "delete" || !isOurs(slice);
    const info = gone ? null : describeSlice(slice, this.#families);
    const owner = info === null ? null : serviceOfSlice(slice);
    const formerOwner = this.#sliceOwners.get(key);
    if (formerOwner !== undefined && formerOwner !== owner) {
      this.#change(formerOwner, (entry) => entry.slices.delete(name));
      this.#sliceOwners.delete(key);
    }
    if (info === null || owner === null) return;
    this.#sliceOwners.set(key, owner);
    if (isDeepStrictEqual(info, this.get(owner).slices.get(name))) return;
    this.#change(owner, (entry) => entry.slices.set(name, info));
  }

  /** Changes an entry; what it was is kept at the first change after a drain. */
  #change(key: string, edit: (entry: Entry) => void): void {
    let entry = this.#entries.get(key);
    if (!this.#pending.has(key)) {
      this.#pending.set(key, entry ?? NOTHING);
      entry = { info: entry?.info ?? null, slices: new Map(entry?.slices) };
    }
    entry ??= { info: null, slices: new Map() };
    edit(entry);
    if (entry.info === null && entry.slices.size === 0) this.#entries.delete(key);
    else this.#entries.set(key, entry);
  }
}

/** Whether this proxy is to serve the object: the labels count whatever their values. */
function isOurs(object: Service | EndpointSlice): boolean {
  const labels = object.metadata.labels ?? {};
  return !Object.hasOwn(labels, PROXY_NAME_LABEL) && !Object.hasOwn(labels, HEADLESS_LABEL);
}

function udpChanges(before: TrackedService, after: TrackedService): UdpChange[] {
  const former = udpPorts(before);
  const current = udpPorts(after);
  const changes: UdpChange[] = [];
  for (const id of new Set([...former.keys(), ...current.keys()])) {
    const old = former.get(id);
    const now = current.get(id);
    const { namespace, service, portName, family } = (now ?? old)!;
    const served = old === undefined ? new Set<string>() : serving(before, old);
    const serves = now === undefined ? new Set<string>() : serving(after, now);
    const added = [...serves.difference(served)];
    const removed = [...served.difference(serves)];
    if (added.length === 0 && removed.length === 0 && isDeepStrictEqual(old, now)) continue;
    changes.push({ namespace, service, portName, family, added, removed });
  }
  return changes;
}

function udpPorts({ info }: TrackedService): Map<string, ServicePort> {
  const ports = (info?.ports ?? []).filter((port) => port.protocol === "UDP");
  return new Map(ports.map((port) => [`${port.portName}/${port.family}`, port]));
}

function serving({ slices }: TrackedService, port: ServicePort): Set<string> {
  return new Set(
    mergeEndpoints(slices, port).filter((endpoint) => endpoint.serving)
      .map((endpoint) => formatSocketAddress(endpoint.address, endpoint.port)),
  );
}

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
import { describeSlice, isOfFamily, serviceOfSlice, type SliceInfo } from "./slices.ts";

/**
 * All that is known of one "namespace/name": the Service may still be missing, or be gone. The infos
 * are made anew whenever they are asked for.
 */
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

/**
 * Keeps the current state and tells what became different. A change that a proxy would not notice
 * (metadata, a selector, an annotation of a slice) is none, and neither is one that was undone
 * before the next drain.
 */
export class ServiceTracker {
  readonly #families: readonly Family[];
  readonly #nothing: Entry;
  readonly #entries = new Map<string, Entry>();
  /** What each slice was when last seen, by its "namespace/name". */
  readonly #slices = new Map<string, EndpointSlice>();
  /** What changed entries were at the last drain. */
  readonly #pending = new Map<string, Entry>();

  /** Objects of other families are ignored. */
  constructor(families: readonly Family[]) {
    this.#families = families;
    this.#nothing = new Entry(families, null, []);
  }

  /**
   * A tracker with the same state that goes its own way. Objects are shared, so that it costs a copy
   * of the maps. What changed since the last drain is not pending in it.
   */
  fork(): ServiceTracker {
    const fork = new ServiceTracker(this.#families);
    for (const [key, entry] of this.#entries) fork.#entries.set(key, entry);
    for (const [key, slice] of this.#slices) fork.#slices.set(key, slice);
    return fork;
  }

  /** Whether an EndpointSlice, by "namespace/name", is tracked. */
  hasSlice(key: string): boolean {
    return this.#slices.has(key);
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
    return this.#entry(key);
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
      const after = this.#entry(key);
      if (before.equals(after)) continue;
      services.add(key);
      if (before.servesUdp || after.servesUdp) udp.push(...udpChanges(before, after));
    }
    this.#pending.clear();
    return { services, udp };
  }

  #applyService(service: Service, action: ClusterChange["action"]): void {
    const gone = action === "delete" || !isOurs(service);
    this.#change(objectKey(service), (entry) => entry.withService(gone ? null : service));
  }

  #applySlice(slice: EndpointSlice, action: ClusterChange["action"]): void {
    const key = objectKey(slice);
    const gone = action === "delete" || !isOurs(slice) || !isOfFamily(slice, this.#families);
    const owner = gone ? null : serviceOfSlice(slice);
    const former = this.#slices.get(key);
    const formerOwner = former === undefined ? null : serviceOfSlice(former);
    if (formerOwner !== null && formerOwner !== owner) {
      this.#change(formerOwner, (entry) => entry.withoutSlice(slice.metadata.name));
      this.#slices.delete(key);
    }
    if (owner === null) return;
    this.#slices.set(key, slice);
    this.#change(owner, (entry) => entry.withSlice(slice));
  }

  #entry(key: string): Entry {
    return this.#entries.get(key) ?? this.#nothing;
  }

  /** Changes an entry; what it was is kept at the first change after a drain. */
  #change(key: string, edit: (entry: Entry) => Entry): void {
    const before = this.#entry(key);
    if (!this.#pending.has(key)) this.#pending.set(key, before);
    const after = edit(before);
    if (after.isEmpty) this.#entries.delete(key);
    else this.#entries.set(key, after);
  }
}

/**
 * The objects of one "namespace/name", as the source has them. What a proxy reads of them is not
 * kept beside them: it would be as large again.
 */
class Entry implements TrackedService {
  readonly #families: readonly Family[];
  readonly #service: Service | null;
  readonly #slices: readonly EndpointSlice[];

  constructor(
    families: readonly Family[],
    service: Service | null,
    slices: readonly EndpointSlice[],
  ) {
    this.#families = families;
    this.#service = service;
    this.#slices = slices;
  }

  get info(): ServiceInfo | null {
    return this.#service === null ? null : describeService(this.#service, this.#families);
  }

  get slices(): ReadonlyMap<string, SliceInfo> {
    const infos = new Map<string, SliceInfo>();
    for (const slice of this.#slices) {
      const info = describeSlice(slice, this.#families);
      if (info !== null) infos.set(info.name, info);
    }
    return infos;
  }

  get servesUdp(): boolean {
    return this.#service?.spec.ports.some(({ protocol }) => protocol === "UDP") ?? false;
  }

  get isEmpty(): boolean {
    return this.#service === null && this.#slices.length === 0;
  }

  withService(service: Service | null): Entry {
    return new Entry(this.#families, service, this.#slices);
  }

  withSlice(slice: EndpointSlice): Entry {
    return this.#withSlices([...this.#slicesBut(slice.metadata.name), slice]);
  }

  withoutSlice(name: string): Entry {
    return this.#withSlices(this.#slicesBut(name));
  }

  /** Whether a proxy would not notice the difference. */
  equals(other: Entry): boolean {
    const [one, two] = [this.#service, other.#service];
    if ((one === null) !== (two === null)) return false;
    return (one === two || isDeepStrictEqual(this.info, other.info)) && this.#slicesEqual(other);
  }

  /** Only those that are other objects are looked into: of a large Service one slice changes. */
  #slicesEqual(other: Entry): boolean {
    if (this.#slices.length !== other.#slices.length) return false;
    const others = new Map(other.#slices.map((slice) => [slice.metadata.name, slice]));
    return this.#slices.every((slice) => {
      const twin = others.get(slice.metadata.name);
      if (twin === undefined || twin === slice) return twin === slice;
      const [one, two] = [slice, twin].map((each) => describeSlice(each, this.#families));
      return isDeepStrictEqual(one, two);
    });
  }

  #slicesBut(name: string): EndpointSlice[] {
    return this.#slices.filter((slice) => slice.metadata.name !== name);
  }

  #withSlices(slices: readonly EndpointSlice[]): Entry {
    return new Entry(this.#families, this.#service, slices);
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

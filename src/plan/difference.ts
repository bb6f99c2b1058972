/**
 * What is different between two plans of a Service, for people and programs that ask.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import type { Protocol } from "../cluster/objects.ts";
import { type Family, formatSocketAddress } from "../net/address.ts";
import { frontendKey, nodePortKey } from "./frontends.ts";
import type {
  Backend,
  Frontend,
  FrontendKind,
  Route,
  ServicePlan,
  ServicePortPlan,
  SourceClass,
} from "./plan.ts";

/** A frontend as a difference names it. */
export interface NamedFrontend {
  readonly kind: FrontendKind;
  /** Null for a node port. */
  readonly address: string | null;
  readonly port: number;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly portName: string;
}

/** A backend as a difference names it. */
export interface NamedBackend {
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly portName: string;
  readonly pod: string | null;
  readonly node: string | null;
}

/** A field that has another value, in words. */
export interface FieldChange {
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** What came, went or is otherwise. */
export interface Changes<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly changed: readonly (T & { readonly changes: readonly FieldChange[] })[];
}

/** What is different about one Service. */
export interface ServiceDifference {
  /** "namespace/name". */
  readonly service: string;
  readonly change: "added" | "removed" | "changed";
  /** Fields of the Service itself. */
  readonly changes: readonly FieldChange[];
  readonly frontends: Changes<NamedFrontend>;
  readonly backends: Changes<NamedBackend>;
}

/** What is different between two plans of one Service; null: there is none. */
export function diffService(
  before: ServicePlan | null,
  after: ServicePlan | null,
): ServiceDifference {
  const { namespace, name } = (after ?? before)!;
  return {
    service: `${namespace}/${name}`,
    change: before === null ? "added" : after === null ? "removed" : "changed",
    changes: before === null || after === null
      ? []
      : fieldChanges(serviceFields(before), serviceFields(after)),
    frontends: compare(frontendsOf(before), frontendsOf(after)),
    backends: compare(backendsOf(before), backendsOf(after)),
  };
}

type Fields = Readonly<Record<string, string>>;

/** Things with what can change about them, by what identifies them. */
type Described<T> = ReadonlyMap<string, { readonly named: T; readonly fields: Fields }>;

function compare<T>(before: Described<T>, after: Described<T>): Changes<T> {
  const added: T[] = [];
  const removed: T[] = [];
  const changed: (T & { changes: readonly FieldChange[] })[] = [];
  for (const [key, { named, fields }] of after) {
    const former = before.get(key);
    if (former === undefined) {
      added.push(named);
      continue;
    }
    const changes = fieldChanges(former.fields, fields);
    if (changes.length > 0) changed.push({ ...named, changes });
  }
  for (const [key, { named }] of before) if (!after.has(key)) removed.push(named);
  return { added, removed, changed };
}

function fieldChanges(before: Fields, after: Fields): FieldChange[] {
  return Object.keys(after).flatMap((field) =>
    before[field] === after[field] ? [] : [{ field, before: before[field], after: after[field] }]
  );
}

function serviceFields(service: ServicePlan): Fields {
  const { type, headless, externalName = "", healthCheckNodePort, localReadyEndpoints } = service;
  return {
    type,
    headless: String(headless),
    externalName,
    healthCheckNodePort: String(healthCheckNodePort),
    localReadyEndpoints: String(localReadyEndpoints),
  };
}

function frontendsOf(service: ServicePlan | null): Described<NamedFrontend> {
  const found = new Map<string, { named: NamedFrontend; fields: Fields }>();
  for (const port of service?.ports ?? []) {
    for (const frontend of port.frontends) {
      const { kind, address, port: number } = frontend;
      const { protocol, family, portName } = port;
      const key = address === null
        ? nodePortKey(family, number, protocol)
        : frontendKey(address, number, protocol);
      const named = { kind, address, port: number, protocol, family, portName };
      found.set(key, { named, fields: frontendFields(port, frontend) });
    }
  }
  return found;
}

const CLASSES: readonly SourceClass[] = ["pod", "node", "outside"];

function frontendFields(port: ServicePortPlan, { kind, routes, sourceRanges }: Frontend): Fields {
  const { scheduler, schedulerFlags = [], affinitySeconds, portName } = port;
  return {
    kind,
    portName,
    scheduler: [scheduler, ...schedulerFlags].join(" "),
    affinity: affinitySeconds === null ? "None" : `ClientIP for ${affinitySeconds} s`,
    sourceRanges: sourceRanges === null ? "all" : sourceRanges.join(", "),
    ...Object.fromEntries(
      CLASSES.map((name) => [`route from ${name}`, describeRoute(routes[name])]),
    ),
  };
}

function describeRoute(route: Route): string {
  if (route.action !== "forward") return route.action;
  return `forward to ${route.to}${route.masquerade ? ", masqueraded" : ""}`;
}

function backendsOf(service: ServicePlan | null): Described<NamedBackend> {
  const found = new Map<string, { named: NamedBackend; fields: Fields }>();
  for (const port of service?.ports ?? []) {
    const cluster = addresses(port.cluster);
    const local = addresses(port.local);
    for (const backend of port.endpoints) {
      const { portName, protocol } = port;
      const { address, pod = null, node = null } = backend;
      const at = formatSocketAddress(address, backend.port);
      const named = { address, port: backend.port, protocol, portName, pod, node };
      const lists = [...cluster.has(at) ? ["cluster"] : [], ...local.has(at) ? ["local"] : []];
      const fields = backendFields(backend, lists);
      found.set(`${portName}/${protocol}/${at}`, { named, fields });
    }
  }
  return found;
}

function addresses(backends: readonly Backend[]): ReadonlySet<string> {
  return new Set(backends.map(({ address, port }) => formatSocketAddress(address, port)));
}

function backendFields(backend: Backend, lists: readonly string[]): Fields {
  const { weight, ready, serving, terminating, pod = "", node = "", zone = "" } = backend;
  return {
    weight: String(weight),
    ready: String(ready),
    serving: String(serving),
    terminating: String(terminating),
    pod,
    node,
    zone,
    "used for": lists.length === 0 ? "none" : lists.join(", "),
  };
}

/** Whether two plans of a Service are the same. */
export function samePlan(before: ServicePlan | null, after: ServicePlan | null): boolean {
  return before === after || isDeepStrictEqual(before, after);
}

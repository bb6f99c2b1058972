/**
 * Tracked connections joined to the plan: which Service, which pods, and whether it still stands.
 *
 * @module
 */

import { formatSocketAddress } from "../../net/address.ts";
import type { FrontendIndex } from "../../plan/frontend_index.ts";
import { type FrontendKind, type Plan, servicePortName } from "../../plan/plan.ts";
import type { Tracked } from "./tracked.ts";

/** A connection with what the plan knows of it. */
export interface JoinedConnection extends Tracked {
  readonly frontend: FrontendKind | null;
  readonly client: { readonly address: string; readonly port: number; readonly pod: string | null };
  /** Null unless a Service's frontend was translated to it. */
  readonly backend: {
    readonly address: string;
    readonly port: number;
    readonly pod: string | null;
  } | null;
  /** Whether the backend sees another source than the client's. */
  readonly masqueraded: boolean;
  /** Why the plan would no longer send it there; null: it would. */
  readonly stale: string | null;
}

/** What connections are joined with. */
export interface JoinContext {
  readonly index: FrontendIndex;
  /** "namespace/name" of pods by address. */
  readonly pods: ReadonlyMap<string, string>;
}

/** The pods that endpoints name, by address. */
export function podsByAddress(plan: Plan): Map<string, string> {
  const pods = new Map<string, string>();
  for (const service of plan.services.values()) {
    for (const { endpoints } of service.ports) {
      for (const { address, pod } of endpoints) if (pod !== undefined) pods.set(address, pod);
    }
  }
  return pods;
}

/** Joins one connection. */
export function joinConnection(tracked: Tracked, { index, pods }: JoinContext): JoinedConnection {
  const { protocol, original, reply } = tracked;
  const match = index.find(original.dest, original.port, protocol);
  const service = tracked.service ?? (match === null ? null : servicePortName(match.port));
  const translated = reply.source !== original.dest || reply.sourcePort !== original.port;
  const backend = service !== null && translated
    ? { address: reply.source, port: reply.sourcePort, pod: pods.get(reply.source) ?? null }
    : null;
  const stale = () => {
    if (service === null) return null;
    if (match === null) {
      const dialled = formatSocketAddress(original.dest, original.port);
      return `no Service has a frontend at ${dialled}/${protocol} any more`;
    }
    if (backend === null) return "it was begun when the Service had no rules";
    const { address, port } = backend;
    return match.port.endpoints.some((end) => end.address === address && end.port === port)
      ? null
      : `${formatSocketAddress(address, port)} is no endpoint of ${servicePortName(match.port)}`;
  };
  return {
    ...tracked,
    service,
    frontend: match?.frontend.kind ?? null,
    client: {
      address: original.source,
      port: original.sourcePort,
      pod: pods.get(original.source) ?? null,
    },
    backend,
    masqueraded: reply.dest !== original.source,
    stale: stale(),
  };
}

/** What connections are wanted; all that is given has to hold. */
export interface ConnectionWish {
  /** "namespace/name" of the Service, or a service port's name. */
  readonly service?: string;
  readonly backend?: string;
  readonly client?: string;
  readonly protocol?: Tracked["protocol"];
  readonly state?: string;
  readonly stale?: boolean;
}

/** Whether a connection is wanted. Addresses are canonical. */
export function isWanted(connection: JoinedConnection, wish: ConnectionWish): boolean {
  const { service, backend, client, protocol, state, stale } = wish;
  return (protocol === undefined || connection.protocol === protocol) &&
    (state === undefined || connection.state === state) &&
    (client === undefined || connection.client.address === client) &&
    (backend === undefined || connection.backend?.address === backend) &&
    (service === undefined || connection.service === service ||
      connection.service?.startsWith(`${service}:`) === true) &&
    (stale === undefined || (connection.stale !== null) === stale);
}

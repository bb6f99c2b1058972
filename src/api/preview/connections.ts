/**
 * What would become of the connections that are there now. Connection tracking keeps established
 * connections where they are; only the proxy forgets UDP flows, as UDP has no end of its own.
 *
 * @module
 */

import type { JoinedConnection } from "../conntrack/join.ts";
import { type AddressPort, formatSocketAddress, isSameAddressPort } from "../../net/address.ts";
import type { FrontendIndex, FrontendMatch } from "../../plan/frontend_index.ts";
import { type Backend, servicePortName } from "../../plan/plan.ts";

/**
 * `moves`: its next packet is given to another backend. `ends`: its next packet reaches none.
 * `orphaned`: it goes on as long as its backend answers, to which no new connection would go.
 */
export type Effect = "moves" | "ends" | "orphaned";

/** A connection that would not go on as it does. */
export interface Affected {
  readonly connection: JoinedConnection;
  readonly effect: Effect;
  readonly reason: string;
}

/** Who forwards, and so decides what becomes of connections. */
export type Forwarder = "engine" | "netfilter" | "ipvs";

/** Judges connections by the plan as it is and as it would be. */
export interface ConnectionForecast {
  readonly before: FrontendIndex;
  readonly after: FrontendIndex;
  readonly forwarder: Forwarder;
  /** Whether the node would still lead packets to what forwards them. */
  readonly captured: (address: string, port: number) => boolean;
}

/** What would become of a connection; null: it goes on as it does, or it is none of a Service. */
export function judge(connection: JoinedConnection, forecast: ConnectionForecast): Affected | null {
  const { service, backend, original, protocol, stale } = connection;
  const match = forecast.after.find(original.dest, original.port, protocol);
  if (backend === null) return judgeUntranslated(connection, match, forecast);
  if (service === null || stale !== null) return null;
  const dialled = `${formatSocketAddress(original.dest, original.port)}/${protocol}`;
  if (match === null) {
    const reason = `no Service would have a frontend at ${dialled}`;
    return { connection, effect: withoutFrontend(connection, forecast), reason };
  }
  const at = formatSocketAddress(backend.address, backend.port);
  const end = match.port.endpoints.find((one) => isSameAddressPort(one, backend));
  if (end === undefined) {
    const reason = `${at} would be no endpoint of ${service} any more`;
    return { connection, effect: withoutEndpoint(protocol, match, forecast), reason };
  }
  if (protocol === "UDP" && !end.serving) {
    const reason = `${at} would not serve any more`;
    return { connection, effect: withoutEndpoint(protocol, match, forecast), reason };
  }
  const former = forecast.before.find(original.dest, original.port, protocol);
  if (former === null || !isChosen(former, backend) || isChosen(match, backend)) return null;
  return { connection, effect: "orphaned", reason: `${at} ${unchosen(end, dialled)}` };
}

/** UDP flows that began without an endpoint are forgotten when there is one. */
function judgeUntranslated(
  connection: JoinedConnection,
  match: FrontendMatch | null,
  { before, forwarder }: ConnectionForecast,
): Affected | null {
  const { original, reply, protocol } = connection;
  const untouched = reply.source === original.dest && reply.sourcePort === original.port;
  if (forwarder === "engine" || protocol !== "UDP" || match === null || !untouched) return null;
  const former = before.find(original.dest, original.port, protocol);
  if (!hasServing(match) || (former !== null && hasServing(former))) return null;
  const reason = `it went to no endpoint, and ${servicePortName(match.port)} would have one`;
  return { connection, effect: hasChosen(match) ? "moves" : "ends", reason };
}

/** The engine and IPVS drop the UDP flows of what they lose; netfilter keeps what conntrack knows. */
function withoutFrontend(
  { original, protocol }: JoinedConnection,
  { forwarder, captured }: ConnectionForecast,
): Effect {
  if (!captured(original.dest, original.port)) return "ends";
  return protocol === "UDP" && forwarder !== "netfilter" ? "ends" : "orphaned";
}

/** The kernel's UDP flows are left alone where no endpoint serves. */
function withoutEndpoint(
  protocol: JoinedConnection["protocol"],
  match: FrontendMatch,
  { forwarder }: ConnectionForecast,
): Effect {
  if (protocol !== "UDP") return "orphaned";
  if (hasServing(match)) return hasChosen(match) ? "moves" : "ends";
  return forwarder === "engine" ? "ends" : "orphaned";
}

function unchosen({ terminating, ready }: Backend, dialled: string): string {
  if (terminating) return "would be terminating: it gets no new connections";
  return ready
    ? `would get no new connections to ${dialled}`
    : "would not be ready: it gets no new connections";
}

function hasServing({ port }: FrontendMatch): boolean {
  return port.endpoints.some(({ serving }) => serving);
}

/** The backends that new connections to a frontend get, wherever they come from. */
function chosenBy({ port, frontend }: FrontendMatch): readonly Backend[] {
  const lists = new Set(
    Object.values(frontend.routes).map((route) => route.action === "forward" ? route.to : null),
  );
  return [...lists].flatMap((list) => list === null ? [] : port[list])
    .filter(({ weight }) => weight > 0);
}

function hasChosen(match: FrontendMatch): boolean {
  return chosenBy(match).length > 0;
}

function isChosen(match: FrontendMatch, end: AddressPort): boolean {
  return chosenBy(match).some((one) => isSameAddressPort(one, end));
}

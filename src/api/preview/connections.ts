/**
 * What would become of the connections that are there now. Connection tracking keeps established
 * connections where they are; only the proxy forgets UDP flows, as UDP has no end of its own.
 *
 * @module
 */

import type { JoinedConnection } from "../conntrack/join.ts";
import { formatSocketAddress } from "../../net/address.ts";
import type { FrontendIndex, FrontendMatch } from "../../plan/frontend_index.ts";

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

/** Judges connections by the plan as it would be. */
export interface ConnectionForecast {
  /** Of the plan as it would be. */
  readonly index: FrontendIndex;
  /** Whether the engine forwards, so that packets must be routed to it; else the kernel does. */
  readonly byEngine: boolean;
  /** In userspace mode: addresses and ports that would still be led to the engine. */
  readonly captured: (address: string, port: number) => boolean;
}

/** What would become of a connection; null: it goes on as it does, or it is none of a Service. */
export function judge(connection: JoinedConnection, forecast: ConnectionForecast): Affected | null {
  const { service, backend, original, protocol, stale } = connection;
  if (service === null || backend === null || stale !== null) return null;
  const match = forecast.index.find(original.dest, original.port, protocol);
  const dialled = `${formatSocketAddress(original.dest, original.port)}/${protocol}`;
  if (match === null) {
    const reason = `no Service would have a frontend at ${dialled}`;
    const led = !forecast.byEngine || forecast.captured(original.dest, original.port);
    // The engine drops the UDP flows of backends that it loses; the kernel keeps these.
    const ends = !led || (forecast.byEngine && protocol === "UDP");
    return { connection, effect: ends ? "ends" : "orphaned", reason };
  }
  const { endpoints } = match.port;
  const end = endpoints.find(({ address, port }) =>
    address === backend.address && port === backend.port
  );
  const at = formatSocketAddress(backend.address, backend.port);
  if (end !== undefined && (protocol !== "UDP" || end.serving)) return null;
  const reason = end === undefined
    ? `${at} would be no endpoint of ${service} any more`
    : `${at} would not serve any more`;
  if (protocol !== "UDP") return { connection, effect: "orphaned", reason };
  if (hasServing(match)) return { connection, effect: "moves", reason };
  return { connection, effect: forecast.byEngine ? "ends" : "orphaned", reason };
}

function hasServing({ port }: FrontendMatch): boolean {
  return port.endpoints.some(({ serving }) => serving);
}

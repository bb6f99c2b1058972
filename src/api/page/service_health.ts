/**
 * How a Service does, in a word.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { BackendView, FrontendView, ServiceView } from "../schemas.ts";
import { counted, type Tone } from "./parts.tsx";

export type Service = z.infer<typeof ServiceView>;
export type Frontend = z.infer<typeof FrontendView>;
export type Backend = z.infer<typeof BackendView>;

/** How a Service does. */
export interface ServiceHealth {
  readonly tone: Tone;
  readonly text: string;
  /** Endpoints, whatever their ports and families, and those that are ready on all of these. */
  readonly endpoints: number;
  readonly ready: number;
}

/** Where a Service's packets may go, each address and port once. */
export function backendsOf({ frontends }: Pick<Service, "frontends">): Backend[] {
  const found = new Map<string, Backend>();
  for (const { protocol, backends } of frontends) {
    for (const backend of backends) {
      found.set(`${protocol} ${backend.address} ${backend.port}`, backend);
    }
  }
  return [...found.values()];
}

/** Endpoints, and those that are ready: pods, where they are known, else addresses. */
function countEndpoints(service: Service): Pick<ServiceHealth, "endpoints" | "ready"> {
  const readiness = new Map<string, boolean>();
  for (const { pod, address, ready } of backendsOf(service)) {
    const endpoint = pod ?? address;
    readiness.set(endpoint, ready && (readiness.get(endpoint) ?? true));
  }
  const ready = [...readiness.values()].filter((isReady) => isReady).length;
  return { endpoints: readiness.size, ready };
}

/** A Service without any endpoint on one of its frontends refuses there, which is worst. */
export function healthOf(service: Service): ServiceHealth {
  const counts = countEndpoints(service);
  const { endpoints, ready } = counts;
  if (service.externalName !== undefined) {
    return { tone: "plain", text: "a name elsewhere", ...counts };
  }
  if (service.headless) return { tone: "plain", text: "headless", ...counts };
  if (service.frontends.length === 0) {
    return { tone: "plain", text: "without frontends", ...counts };
  }
  if (endpoints === 0) return { tone: "bad", text: "no endpoints", ...counts };
  if (service.frontends.some((frontend) => frontend.backends.length === 0)) {
    return { tone: "warn", text: "a port without endpoints", ...counts };
  }
  if (ready < endpoints) {
    return { tone: "warn", text: `${ready} of ${endpoints} ready`, ...counts };
  }
  return { tone: "good", text: `${counted(endpoints, "endpoint")} ready`, ...counts };
}

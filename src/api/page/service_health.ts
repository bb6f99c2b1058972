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
  /** Endpoints of all its ports, and those that are ready. */
  readonly endpoints: number;
  readonly ready: number;
}

/** The endpoints of a Service, each once. */
export function backendsOf({ frontends }: Pick<Service, "frontends">): Backend[] {
  const found = new Map<string, Backend>();
  for (const { protocol, backends } of frontends) {
    for (const backend of backends) {
      found.set(`${protocol} ${backend.address} ${backend.port}`, backend);
    }
  }
  return [...found.values()];
}

/** A Service without any endpoint on one of its frontends refuses there, which is worst. */
export function healthOf(service: Service): ServiceHealth {
  const backends = backendsOf(service);
  const endpoints = backends.length;
  const ready = backends.filter((backend) => backend.ready).length;
  const counts = { endpoints, ready };
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

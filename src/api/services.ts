/**
 * `GET /api/v1/services` and `/api/v1/services/{namespace}/{name}`.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { BackendCounters, EngineCounters } from "../engine/handle.ts";
import { familyOf, formatSocketAddress } from "../net/address.ts";
import {
  type Backend,
  type Frontend,
  type Plan,
  type ServicePlan,
  servicePortName,
  type ServicePortPlan,
} from "../plan/plan.ts";
import { ApiError, errorResponse, largeAnswers } from "./errors.ts";
import {
  type BackendView,
  type FrontendView,
  limitOf,
  notModified,
  ServiceList,
  ServiceView,
} from "./schemas.ts";
import type { ApiState } from "./state.ts";

type CountersByBackend = ReadonlyMap<string, BackendCounters>;

function counterKey(service: string, protocol: string, address: string, port: number): string {
  return `${service} ${protocol} ${formatSocketAddress(address, port)}`;
}

/** The counters of every backend, to be found by {@link describeService}. */
function indexCounters(counters: EngineCounters): CountersByBackend {
  return new Map(counters.backends.map((entry) => [
    counterKey(entry.service, entry.protocol, entry.backend.address, entry.backend.port),
    entry,
  ]));
}

/** A Service as the API shows it; one without cluster IP has no frontends. */
export function describeService(
  service: ServicePlan,
  nodePortAddresses: readonly string[],
  counters: CountersByBackend,
): z.infer<typeof ServiceView> {
  const first = service.ports.at(0);
  return {
    namespace: service.namespace,
    name: service.name,
    type: service.type,
    headless: service.headless,
    externalName: service.externalName,
    internalTrafficPolicy: first?.internalTrafficPolicy ?? null,
    externalTrafficPolicy: first?.externalTrafficPolicy ?? null,
    healthCheckNodePort: service.healthCheckNodePort === 0 ? null : service.healthCheckNodePort,
    localReadyEndpoints: service.localReadyEndpoints,
    frontends: service.ports.flatMap((port) =>
      port.frontends.flatMap((frontend) =>
        addressesOf(frontend, port, nodePortAddresses).map((address) =>
          describeFrontend(port, frontend, address, counters)
        )
      )
    ),
  };
}

/** A node port is on several addresses of the node, every other frontend on its own. */
function addressesOf(
  frontend: Frontend,
  port: ServicePortPlan,
  nodePortAddresses: readonly string[],
): readonly string[] {
  if (frontend.address !== null) return [frontend.address];
  return nodePortAddresses.filter((address) => familyOf(address) === port.family);
}

function describeFrontend(
  port: ServicePortPlan,
  frontend: Frontend,
  address: string,
  counters: CountersByBackend,
): z.infer<typeof FrontendView> {
  return {
    kind: frontend.kind,
    address,
    port: frontend.port,
    protocol: port.protocol,
    portName: port.portName,
    family: port.family,
    scheduler: port.scheduler,
    affinity: port.affinitySeconds === null ? "None" : "ClientIP",
    affinitySeconds: port.affinitySeconds,
    sourceRanges: frontend.sourceRanges === null ? null : [...frontend.sourceRanges],
    routes: frontend.routes,
    backends: backendsOf(port, frontend).map((backend) => describeBackend(port, backend, counters)),
  };
}

/** The backends that connections from anywhere can be given: of one list, or of both together. */
function backendsOf(port: ServicePortPlan, frontend: Frontend): readonly Backend[] {
  const lists = new Set(
    Object.values(frontend.routes).flatMap((route) => route.action === "forward" ? [route.to] : []),
  );
  if (!lists.has("local")) return lists.has("cluster") ? port.cluster : [];
  if (!lists.has("cluster")) return port.local;
  const key = (backend: Backend) => formatSocketAddress(backend.address, backend.port);
  const inCluster = new Set(port.cluster.map(key));
  return [...port.cluster, ...port.local.filter((backend) => !inCluster.has(key(backend)))];
}

function describeBackend(
  port: ServicePortPlan,
  backend: Backend,
  counters: CountersByBackend,
): z.infer<typeof BackendView> {
  const { address, port: number, weight, ready, serving, terminating, local } = backend;
  const { pod, node, zone } = backend;
  const live = counters.get(counterKey(servicePortName(port), port.protocol, address, number));
  return {
    address,
    port: number,
    weight,
    ready,
    serving,
    terminating,
    local,
    pod,
    node,
    zone,
    connections: live?.connections ?? 0,
    active: live?.active ?? 0,
    packets: live?.packets ?? 0,
    bytes: live?.bytes ?? 0,
  };
}

const listRoute = createRoute({
  method: "get",
  path: "/api/v1/services",
  summary: "Services with their frontends, backends, policies and live counters",
  description: "All at once, or in pages when a limit is given.",
  request: {
    query: z.strictObject({
      namespace: z.string().max(200).optional().openapi({ example: "default" }),
      search: z.string().max(200).optional().openapi({
        description: "a part of namespace/name, in any case",
        example: "host",
      }),
      limit: limitOf(10_000).openapi({ description: "Services of a page" }),
      cursor: z.string().max(400).optional().openapi({ description: "next of the page before" }),
    }),
  },
  responses: {
    200: { description: "Services", content: { "application/json": { schema: ServiceList } } },
    ...notModified,
    ...largeAnswers,
    400: errorResponse("the request is of another shape"),
  },
});

const oneRoute = createRoute({
  method: "get",
  path: "/api/v1/services/{namespace}/{name}",
  summary: "One Service",
  request: { params: z.object({ namespace: z.string(), name: z.string() }) },
  responses: {
    200: { description: "the Service", content: { "application/json": { schema: ServiceView } } },
    ...notModified,
    ...largeAnswers,
    404: errorResponse("there is no such Service"),
  },
});

/** Adds both routes. */
export function addServices(app: OpenAPIHono, state: ApiState): void {
  app.openapi(listRoute, async (context) => {
    const { namespace, limit = Infinity, cursor, ...rest } = context.req.valid("query");
    const search = rest.search?.toLowerCase() ?? "";
    const counters = indexCounters(await state.engine.counters());
    const plan = state.plan();
    const wanted = sortedKeys(plan).filter((key) =>
      (namespace === undefined || key.startsWith(`${namespace}/`)) &&
      (search === "" || key.toLowerCase().includes(search)) &&
      (cursor === undefined || key > cursor)
    );
    const items = wanted.slice(0, limit).map((key) =>
      describeService(plan.services.get(key)!, plan.node.nodePortAddresses, counters)
    );
    return context.json({ items, next: wanted.length > limit ? wanted[limit - 1] : null }, 200);
  });
  app.openapi(oneRoute, async (context) => {
    const { namespace, name } = context.req.valid("param");
    const key = `${namespace}/${name}`;
    const counters = indexCounters(await state.engine.counters());
    const plan = state.plan();
    const service = plan.services.get(key);
    if (service === undefined) {
      throw new ApiError(404, "not_found", `there is no Service ${key}`);
    }
    return context.json(describeService(service, plan.node.nodePortAddresses, counters), 200);
  });
}

/** "namespace/name" in order. */
function sortedKeys(plan: Plan): string[] {
  return [...plan.services.keys()].sort();
}

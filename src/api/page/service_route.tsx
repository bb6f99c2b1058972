/**
 * What the page of one Service asks the API.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ConnectionListView } from "../conntrack.ts";
import type { ExplanationView } from "../explanation.ts";
import { type ApiClient, pathTo, withQuery } from "./client.ts";
import type { Node } from "./overview.tsx";
import type { Show } from "./layout.tsx";
import { Problem } from "./parts.tsx";
import { backendsOf, type Service } from "./service_health.ts";
import { type Asked, connectionKey, type ServiceChoice, ServicePage } from "./service_page.tsx";

/** Connections that one page counts. */
const MOST_COUNTED = 1000;

/** Adds the route. */
export function addServicePage(app: OpenAPIHono, api: ApiClient, show: Show): void {
  app.get("/services/:namespace/:name", async (context) => {
    const { namespace, name } = context.req.param();
    const section = "/";
    const found = await api.get<Service>(pathTo("/api/v1/services", namespace, name));
    if (!found.ok) {
      const children = <Problem title="There is no such Service" problem={found.problem} />;
      return show(context, { title: "Not found", section, children }, 404);
    }
    const service = found.body;
    const node = await api.get<Node>("/api/v1/node");
    const choice = choiceOf(service, context.req.query());
    const asked = node.ok ? await ask(api, service, choice, node.body) : null;
    const connections = await connectionsOf(api, service, node.ok ? node.body : null);
    const children = (
      <ServicePage service={service} choice={choice} asked={asked} connections={connections} />
    );
    return show(context, { title: `${namespace}/${name}`, section, children });
  });
}

/** What was chosen, or the first there is. */
function choiceOf(
  { frontends }: Service,
  { frontend = "0", from }: Readonly<Record<string, string>>,
): ServiceChoice {
  const index = /^\d{1,6}$/.test(frontend) ? Number(frontend) : 0;
  return {
    frontend: index < frontends.length ? index : 0,
    from: from === "node" || from === "outside" ? from : "pod",
  };
}

async function ask(
  api: ApiClient,
  { frontends }: Service,
  choice: ServiceChoice,
  { sources }: Node,
): Promise<Asked | null> {
  const frontend = frontends.at(choice.frontend);
  const source = frontend && sources[frontend.family][choice.from];
  if (frontend === undefined || source === undefined) return null;
  const { address: dest, port, protocol } = frontend;
  const query = { source, dest, port, protocol };
  return { source, reply: await api.get<ExplanationView>(withQuery("/api/v1/explain", query)) };
}

/** By the engine's counters where the engine carries the connections, else by what is tracked. */
async function connectionsOf(
  api: ApiClient,
  service: Service,
  node: Node | null,
): Promise<ReadonlyMap<string, number> | null> {
  if (service.frontends.length === 0 || node === null || !node.programming) return null;
  const counts = new Map<string, number>();
  if (node.mode === "userspace") {
    for (const { protocol, backends } of service.frontends) {
      for (const backend of backends) counts.set(connectionKey(protocol, backend), backend.active);
    }
    return counts;
  }
  if (backendsOf(service).length === 0) return null;
  const tracked = await api.get<ConnectionListView>(withQuery("/api/v1/conntrack", {
    service: `${service.namespace}/${service.name}`,
    limit: MOST_COUNTED,
  }));
  if (!tracked.ok) return null;
  for (const { protocol, backend } of tracked.body.items) {
    if (backend === null) continue;
    const key = connectionKey(protocol, backend);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/**
 * The pages for those who would rather look than read. They ask the API and nothing else, and work
 * without scripts; with htmx, events keep them fresh.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { addAssets, ASSET_PATHS } from "./assets.ts";
import { type ApiClient, type Reply, withQuery } from "./client.ts";
import { addDocs } from "./docs/docs.tsx";
import { DriftPage } from "./drift_page.tsx";
import { EMPTY_FORM, ExplainPage, type PacketForm } from "./explain_page.tsx";
import { addHistory } from "./history_page.tsx";
import { page, type PageProps, type Show } from "./layout.tsx";
import { type Node, Overview, PAGE_SIZE, type Services } from "./overview.tsx";
import { Problem } from "./parts.tsx";
import { pageHeaders } from "./security.ts";
import { addServicePage } from "./service_route.tsx";
import type { DiffView } from "../diff.ts";
import type { ExplanationView } from "../explanation.ts";

/** Paths of pages, for middleware; `*` as Hono takes it. */
const PAGE_PATHS = ["/", "/services/*", "/explain", "/drift", "/history/*", "/docs", "/login"];

/** What pages need. */
export interface PageParts {
  readonly api: ApiClient;
  /** Whether there are sessions, because the API asks for a token. */
  readonly session: boolean;
}

/** Adds all pages and their assets. */
export function addPages(app: OpenAPIHono, { api, session }: PageParts): void {
  for (const path of [...PAGE_PATHS, ...ASSET_PATHS]) app.use(path, pageHeaders());
  addAssets(app);
  const show: Show = async (context, props, status = 200) =>
    context.html(await page({ session, ...props }), status);
  app.get("/", (context) => overview(context, api, show));
  app.get("/explain", (context) => explain(context, api, show));
  app.get("/drift", async (context) => {
    const verify = context.req.query("verify") === "true" ? "true" : "false";
    const reply = await api.get<DiffView>(withQuery("/api/v1/diff", { verify }));
    const children = <DriftPage reply={reply} />;
    return show(context, { title: "Drift", section: "/drift", children });
  });
  addServicePage(app, api, show);
  addHistory(app, api, show);
  addDocs(app, api, show);
}

async function overview(context: Context, api: ApiClient, show: Show): Promise<Response> {
  const { search, cursor } = context.req.query();
  const query = { search, cursor };
  const [node, services] = await Promise.all([
    api.get<Node>("/api/v1/node"),
    api.get<Services>(withQuery("/api/v1/services", { ...query, limit: PAGE_SIZE })),
  ]);
  const children = whenBoth(
    node,
    services,
    (node, services) => <Overview node={node} services={services} query={query} />,
  );
  return show(context, { title: "Services", section: "/", children });
}

function whenBoth<A, B>(a: Reply<A>, b: Reply<B>, both: (a: A, b: B) => PageProps["children"]) {
  if (!a.ok) return <Problem problem={a.problem} />;
  return b.ok ? both(a.body, b.body) : <Problem problem={b.problem} />;
}

/** Modes whose rules can be asked as they are on the node this moment. */
const MODES_WITH_RULES: readonly string[] = ["iptables", "nftables"];

async function explain(context: Context, api: ApiClient, show: Show): Promise<Response> {
  const asked = context.req.query();
  const entries = Object.entries(EMPTY_FORM).map(([name, empty]) => [name, asked[name] ?? empty]);
  const form: PacketForm = Object.fromEntries(entries);
  const reply = form.source === "" && form.dest === ""
    ? null
    : await api.get<ExplanationView>(withQuery("/api/v1/explain", { ...form }));
  const node = await api.get<Node>("/api/v1/node");
  const services = await api.get<Services>(withQuery("/api/v1/services", { limit: 10 }));
  const frontend = services.ok ? services.body.items.flatMap((one) => one.frontends).at(0) : null;
  const sources = node.ok && frontend ? node.body.sources[frontend.family] : {};
  const example = frontend
    ? { source: sources.pod ?? sources.outside, dest: frontend.address, port: `${frontend.port}` }
    : {};
  const rules = node.ok && MODES_WITH_RULES.includes(node.body.mode);
  const children = <ExplainPage form={form} example={example} rules={rules} reply={reply} />;
  return show(context, { title: "Explain", section: "/explain", children });
}

/**
 * `GET /api/v1/rules/{mode}`: a mode's rule set, as text and as structure.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import { ruleStructure } from "../dataplane/iptables/structure.ts";
import { restoreText } from "../dataplane/iptables/text.ts";
import { DEFAULT_IPVS_OPTIONS } from "../dataplane/ipvs/options.ts";
import { render as renderIpvs } from "../dataplane/ipvs/render.ts";
import { ipvsStructure } from "../dataplane/ipvs/structure.ts";
import { ipvsText } from "../dataplane/ipvs/text.ts";
import { tablesText, tableStructure } from "../dataplane/nftables/structure.ts";
import { MASQUERADE_PORTS, render as renderRouting } from "../dataplane/userspace/render.ts";
import { routingStructure, routingText } from "../dataplane/userspace/structure.ts";
import type { Plan } from "../plan/plan.ts";
import { ApiError, errorResponse, largeAnswers } from "./errors.ts";
import type { PlanViews } from "./plan_views.ts";
import { notModified } from "./schemas.ts";
import type { ApiState } from "./state.ts";

const Tables = z.object({
  family: z.enum(["IPv4", "IPv6"]),
  tables: z.array(z.object({
    name: z.enum(["filter", "nat"]),
    chains: z.array(z.object({ name: z.string(), rules: z.array(z.string()).readonly() }))
      .readonly().openapi({ description: "the chains that are the proxy's own" }),
    jumps: z.array(z.object({ chain: z.string(), rule: z.string() })).readonly().openapi({
      description: "rules in the kernel's own chains, each put in front of its chain in turn",
    }),
  })).readonly(),
}).openapi("FamilyRules");

const Routing = z.object({
  routes: z.array(z.object({ address: z.string(), source: z.string().nullable() })).readonly(),
  captureSource: z.string().nullable().openapi({
    description: "the source of the node's own IPv4 connections to captured ports",
  }),
  captures: z.array(z.object({
    address: z.string(),
    protocol: z.enum(["TCP", "UDP", "SCTP", "ICMP"]),
    firstPort: z.int(),
    lastPort: z.int(),
  })).readonly(),
}).openapi("Routing");

const OwnTable = z.object({
  family: z.enum(["IPv4", "IPv6"]),
  name: z.string().openapi({ example: "kube-proxy" }),
  chains: z.array(z.object({
    name: z.string(),
    base: z.object({
      type: z.enum(["filter", "nat", "route"]),
      hook: z.string().openapi({ example: "prerouting" }),
      priority: z.int(),
    }).nullable().openapi({ description: "what calls it; null: other chains" }),
    rules: z.array(z.string()).readonly(),
  })).readonly(),
  sets: z.array(z.object({
    name: z.string(),
    kind: z.enum(["set", "map"]),
    properties: z.array(z.string()).readonly().openapi({ example: ["type ipv4_addr"] }),
    elements: z.array(z.string()).readonly(),
  })).readonly(),
}).openapi("FamilyTable");

const VirtualServers = z.object({
  family: z.enum(["IPv4", "IPv6"]),
  device: z.string(),
  addresses: z.array(z.string()).readonly().openapi({ description: "those of the device" }),
  sets: z.array(z.object({
    name: z.string(),
    type: z.string(),
    entries: z.array(z.string()).readonly(),
  })).readonly(),
  servers: z.array(z.object({
    name: z.string().openapi({ example: "10.96.0.1:443/TCP" }),
    key: z.union([
      z.object({
        protocol: z.enum(["TCP", "UDP", "SCTP"]),
        address: z.string(),
        port: z.int(),
      }),
      z.object({ mark: z.int() }),
    ]),
    scheduler: z.string(),
    flags: z.array(z.string()).readonly(),
    persistenceSeconds: z.int().nullable(),
    realServers: z.array(z.object({
      address: z.string(),
      port: z.int(),
      weight: z.int(),
    })).readonly(),
  })).readonly(),
  tables: Tables.shape.tables,
}).openapi("FamilyVirtualServers");

const common = {
  running: z.boolean().openapi({ description: "whether this mode is the one that runs" }),
  source: z.enum(["synced", "plan"]).openapi({
    description: "what the node had after the last sync, or what it would get for the plan",
  }),
  node: z.string(),
  text: z.string().openapi({
    description:
      "input of programs, each part below a comment: for iptables, of iptables-restore " +
      "--noflush; for ipvs, of ip -batch, ipset restore and ipvsadm --restore too; for nftables, of " +
      "nft -f",
  }),
  problems: z.array(z.string()).readonly().openapi({
    description: "what of the plan is not in it",
  }),
};

const RulesView = z.union([
  z.object({
    mode: z.literal("iptables"),
    ...common,
    structure: z.object({ families: z.array(Tables).readonly() }),
  }),
  z.object({
    mode: z.literal("ipvs"),
    ...common,
    structure: z.object({ families: z.array(VirtualServers).readonly() }),
  }),
  z.object({
    mode: z.literal("nftables"),
    ...common,
    structure: z.object({ families: z.array(OwnTable).readonly() }),
  }),
  z.object({ mode: z.literal("userspace"), ...common, structure: Routing }),
]).openapi("Rules");

type Rules = z.input<typeof RulesView>;

const route = createRoute({
  method: "get",
  path: "/api/v1/rules/{mode}",
  summary: "The rule set of a mode, as text and as structure",
  description:
    "Of the mode that runs: what the node had after the last sync. Of others: what the plan " +
    "would make there.",
  request: {
    params: z.object({ mode: z.string().openapi({ example: "iptables" }) }),
    query: z.strictObject({
      service: z.string().max(400).optional().openapi({
        description: "namespace/name: its rules alone, with those that all Services share",
        example: "default/hostnames",
      }),
      format: z.enum(["json", "text"], { error: "expected json or text" }).default("json")
        .openapi({ description: "text: the text alone" }),
    }),
  },
  responses: {
    200: {
      description: "the rule set",
      content: {
        "application/json": { schema: RulesView },
        "text/plain": { schema: z.string() },
      },
    },
    ...notModified,
    ...largeAnswers,
    400: errorResponse("the request is of another shape"),
    404: errorResponse("there is no such mode, or no such Service"),
  },
});

/** The modes that can be rendered from any plan. */
const RENDERED: Readonly<Record<ProxyMode, typeof iptablesRules>> = {
  iptables: iptablesRules,
  ipvs: ipvsRules,
  nftables: nftablesRules,
  userspace: userspaceRules,
};

/** Adds the route. */
export function addRules(app: OpenAPIHono, state: ApiState, views: PlanViews): void {
  app.openapi(route, (context) => {
    const { mode } = context.req.valid("param");
    const { service, format } = context.req.valid("query");
    const rules = Object.hasOwn(RENDERED, mode) ? RENDERED[mode as ProxyMode] : undefined;
    if (rules === undefined) {
      const expected = Object.keys(RENDERED).join(" or ");
      throw new ApiError(
        404,
        "not_found",
        `there are no rules of mode ${mode}; expected ${expected}`,
      );
    }
    if (service !== undefined && !state.plan().services.has(service)) {
      throw new ApiError(404, "not_found", `there is no Service ${service}`);
    }
    const answer = rules(state, views, service);
    if (format === "text") return context.text(answer.text, 200);
    return context.json(answer, 200);
  });
}

function iptablesRules(state: ApiState, views: PlanViews, service?: string): Rules {
  const running = state.mode === "iptables";
  const synced = running && state.node.iptables !== undefined;
  const problems = views.iptables.rendered.problems;
  const sets = state.families.map((family) =>
    synced ? views.iptables.rules(family) : views.iptables.rendered.rules.get(family) ?? null
  ).filter((rules) => rules !== null).map((rules) => only(rules, service));
  return {
    mode: "iptables",
    running,
    source: synced ? "synced" : "plan",
    node: state.plan().node.name,
    text: sets.map((rules) => `# ${rules.family}\n${restoreText(rules)}`).join(""),
    structure: { families: sets.map(ruleStructure) },
    problems: problemsOf(problems, service),
  };
}

/** Of one Service, what the plan asks for alone. */
function ipvsRules(state: ApiState, _: PlanViews, service?: string): Rules {
  const { ipvs } = state.node;
  const plan = planOf(state, service);
  const synced = service === undefined && ipvs !== undefined;
  const problems = new Set<string>();
  const states = state.families.flatMap((family) => {
    const known = synced ? ipvs.state(family) : null;
    if (synced) return known === null ? [] : [known];
    const rendered = renderIpvs(plan, family, state.ipvsOptions ?? DEFAULT_IPVS_OPTIONS);
    for (const { service, message } of rendered.problems) {
      problems.add(`Service ${service}: ${message}`);
    }
    return [rendered.state];
  });
  return {
    mode: "ipvs",
    running: state.mode === "ipvs",
    source: synced ? "synced" : "plan",
    node: plan.node.name,
    text: ipvsText(states),
    structure: { families: states.map(ipvsStructure) },
    problems: [...problems],
  };
}

function nftablesRules(state: ApiState, views: PlanViews, service?: string): Rules {
  const running = state.mode === "nftables";
  const { problems } = views.nftables.rendered;
  const sets = state.families.map((family) => views.nftables.rules(family))
    .filter((rules) => rules !== null).map((rules) => only(rules, service));
  return {
    mode: "nftables",
    running,
    source: running && state.node.nftables !== undefined ? "synced" : "plan",
    node: state.plan().node.name,
    text: tablesText(sets),
    structure: { families: sets.map(tableStructure) },
    problems: problemsOf(problems, service),
  };
}

/** The plan, or that of one Service. */
function planOf(state: ApiState, service: string | undefined): Plan {
  const plan = state.plan();
  const one = service === undefined ? undefined : plan.services.get(service);
  if (service === undefined || one === undefined) return plan;
  return { ...plan, services: new Map([[service, one]]) };
}

/** The rules of one Service, and those of all. */
function only<Fragment, Rules extends { readonly services: ReadonlyMap<string, Fragment> }>(
  rules: Rules,
  service: string | undefined,
): Rules {
  if (service === undefined) return rules;
  const fragment = rules.services.get(service);
  return { ...rules, services: new Map(fragment === undefined ? [] : [[service, fragment]]) };
}

/** Lines about one Service, or all. */
function problemsOf(problems: readonly string[], service: string | undefined): readonly string[] {
  if (service === undefined) return problems;
  return problems.filter((line) => line.startsWith(`Service ${service}: `));
}

/** Userspace mode's routing follows from the plan alone, at any time. */
function userspaceRules(state: ApiState, _: PlanViews, service?: string): Rules {
  const plan = planOf(state, service);
  const rules = renderRouting(plan, MASQUERADE_PORTS);
  return {
    mode: "userspace",
    running: state.mode === "userspace",
    source: "plan",
    node: plan.node.name,
    text: routingText(rules),
    structure: routingStructure(rules),
    problems: [],
  };
}

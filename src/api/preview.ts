/**
 * `POST /api/v1/preview`: what a change of the cluster would change here. Nothing is applied.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { RuleSet } from "../dataplane/iptables/rules.ts";
import { DEFAULT_IPVS_OPTIONS } from "../dataplane/ipvs/options.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../dataplane/nftables/options.ts";
import type { RuleSet as NftablesRuleSet } from "../dataplane/nftables/rules.ts";
import { messageOf } from "../errors.ts";
import { type Family, parseNetwork } from "../net/address.ts";
import { jsonBody } from "./body.ts";
import { joinedView } from "./conntrack.ts";
import { ServiceDifferenceView } from "./differences.ts";
import { ApiError, errorResponse } from "./errors.ts";
import type { PlanViews } from "./plan_views.ts";
import { affectedConnections, MOST_LISTED } from "./preview/affected.ts";
import { type Forecast, forecast } from "./preview/forecast.ts";
import { DELETED_KINDS } from "./preview/deletions.ts";
import { iptablesChange, iptablesChangeOfPlan } from "./preview/iptables_rules.ts";
import { ipvsChange } from "./preview/ipvs_rules.ts";
import { nftablesChange, nftablesChangeOfPlan } from "./preview/nftables_rules.ts";
import { understandWishes, WishError, type Wishes } from "./preview/objects.ts";
import type { RuleChange } from "./preview/rules.ts";
import { userspaceChange } from "./preview/userspace_rules.ts";
import type { ApiState } from "./state.ts";

/** Longest body, bytes. */
const MAX_BODY_BYTES = 1 << 22;
/** Objects of one preview, Lists counting one. */
const MAX_OBJECTS = 1000;
/** Services that are described. */
const MOST_SERVICES = 1000;
/** Lines of rules that are listed, and bytes of text. */
const MOST_LINES = 10_000;
const MOST_TEXT = 1 << 21;

const name = z.string().min(1, "expected a name").max(253, "expected at most 253 characters");

const PreviewRequest = z.strictObject({
  objects: z.array(z.unknown()).max(MAX_OBJECTS, `expected at most ${MAX_OBJECTS} objects`)
    .default([]).openapi({
      type: "array",
      items: { type: "object", additionalProperties: true },
      description: "Kubernetes objects as they would be: Services, EndpointSlices, Endpoints, " +
        "this Node; Pods, Deployments, ReplicaSets, StatefulSets and DaemonSets too where the " +
        "cluster is one of manifests, else a problem tells that controllers decide about them. " +
        "Lists are taken apart, other kinds left out. What a Service leaves open is kept as it " +
        "is, or allocated.",
    }),
  delete: z.array(
    z.strictObject({
      kind: z.enum(DELETED_KINDS, { error: `expected one of ${DELETED_KINDS.join(", ")}` }),
      namespace: name.optional().openapi({ example: "default" }),
      name: name.openapi({ example: "web" }),
    }, { error: (issue) => issue.code === "invalid_type" ? "expected an object" : undefined }),
  ).max(MAX_OBJECTS, `expected at most ${MAX_OBJECTS} names`).default([]),
}, { error: (issue) => issue.code === "invalid_type" ? "expected an object" : undefined })
  .openapi("PreviewRequest");

/** Modes whose rules can be compared. */
const PREVIEWED = ["iptables", "ipvs", "nftables", "userspace"] as const;

const ShownRules = z.object({
  mode: z.enum(PREVIEWED),
  family: z.enum(["IPv4", "IPv6"]).nullable().openapi({ description: "null: of both" }),
  added: z.array(z.string()).readonly(),
  removed: z.array(z.string()).readonly(),
  addedTotal: z.int(),
  removedTotal: z.int(),
  text: z.string().nullable().openapi({
    description: "of iptables and nftables mode where it runs: what would be sent to " +
      "iptables-restore --noflush or nft -f; null: too long, or another mode",
  }),
  problems: z.array(z.string()).readonly(),
}).openapi("RuleChange");

const Preview = z.object({
  node: z.boolean().openapi({ description: "whether what is known of this node would change" }),
  services: z.array(ServiceDifferenceView).readonly(),
  servicesTotal: z.int(),
  rules: z.array(ShownRules).readonly(),
  connections: z.object({
    trackedBy: z.enum(["engine", "kernel"]),
    items: z.array(z.object({
      effect: z.enum(["moves", "ends", "orphaned"]).openapi({
        description: "moves: the next packet goes to another backend; ends: it reaches none; " +
          "orphaned: it goes on while its backend answers, which gets no new ones",
      }),
      reason: z.string(),
      connection: joinedView,
    })).readonly(),
    totals: z.object({ moves: z.int(), ends: z.int(), orphaned: z.int() }),
    looked: z.int(),
    complete: z.boolean().openapi({ description: "whether all connections were looked at" }),
  }),
  problems: z.array(z.string()).readonly().openapi({
    description: "what cannot be had of the request, and what the plan would then have to report",
  }),
  solved: z.array(z.string()).readonly().openapi({ description: "problems that would be gone" }),
  assumed: z.array(z.string()).readonly().openapi({
    description:
      "what the cluster would decide, and may decide otherwise: addresses, node ports, " +
      "endpoints",
  }),
  ignored: z.array(z.string()).readonly().openapi({
    description: "objects that the plan does not depend on",
  }),
}).openapi("Preview");

/** What is answered. */
export type PreviewAnswer = z.infer<typeof Preview>;

const route = createRoute({
  method: "post",
  path: "/api/v1/preview",
  summary: "What a change of the cluster would change: Services, rules, connections",
  description:
    `At most ${MAX_OBJECTS} objects and as many names, in ${MAX_BODY_BYTES >> 20} MiB. Nothing ` +
    `is applied. At most ${MOST_SERVICES} Services, ${MOST_LINES} lines and ${MOST_LISTED} ` +
    "connections are listed; the totals are of all.",
  request: {
    query: z.strictObject({
      mode: z.enum(PREVIEWED, { error: `expected one of ${PREVIEWED.join(", ")}` })
        .optional().openapi({ description: "whose rules are compared; that which runs" }),
    }),
    body: { required: true, content: { "application/json": { schema: PreviewRequest } } },
  },
  responses: {
    200: {
      description: "what would change",
      content: { "application/json": { schema: Preview } },
    },
    400: errorResponse("the request is of another shape, or an object is broken"),
    408: errorResponse("the body did not come in time"),
    413: errorResponse("the body or a list in it is too long"),
    415: errorResponse("the body is not of type application/json"),
    429: errorResponse("another preview is under way"),
    503: errorResponse("the kernel's connections cannot be read, or bodies take all memory"),
  },
});

/** Adds the route. */
export function addPreview(
  app: OpenAPIHono,
  state: ApiState,
  views: PlanViews,
  bodyTimeoutMs: number,
): void {
  app.post(route.path, jsonBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs }));
  let running = false;
  app.openapi(route, async (context) => {
    if (running) {
      context.header("Retry-After", "1");
      throw new ApiError(429, "busy", "another preview is under way; try again after it");
    }
    running = true;
    try {
      const { objects, delete: deletions } = context.req.valid("json");
      const { mode = state.mode } = context.req.valid("query");
      return context.json(await preview(state, views, { objects, deletions }, mode), 200);
    } finally {
      running = false;
    }
  });
}

async function preview(
  state: ApiState,
  views: PlanViews,
  wishes: Wishes,
  mode: ProxyMode,
): Promise<z.input<typeof Preview>> {
  const planner = state.fork();
  const understood = understand(wishes, {
    plan: planner.plan,
    simulated: state.simulated,
    hasSlice: (key) => planner.hasSlice(key),
    serviceNetworks: networksOf(state),
  });
  const previous = mode === state.mode ? previousRules(state, views) : NO_RULES;
  const future = forecast(planner, understood.changes);
  const rules = await rulesOf(future, mode, state, previous);
  const connections = await affected(state, views, future);
  return {
    node: future.change.node !== null,
    services: future.services.slice(0, MOST_SERVICES),
    servicesTotal: future.services.length,
    rules: rules.map((one) => shown(mode, one)),
    connections: {
      trackedBy: state.node.connections === undefined ? "engine" : "kernel",
      ...connections,
    },
    problems: [...understood.problems, ...future.newProblems],
    solved: future.solvedProblems,
    assumed: understood.assumed,
    ignored: understood.ignored,
  };
}

function understand(...args: Parameters<typeof understandWishes>) {
  try {
    return understandWishes(...args);
  } catch (error) {
    if (!(error instanceof WishError)) throw error;
    throw new ApiError(400, "invalid_object", `${error.field}: ${error.message}`, error.field);
  }
}

function networksOf(state: ApiState) {
  const { serviceNetworks = [] } = state.plan();
  const texts = serviceNetworks.length > 0 ? serviceNetworks : state.serviceNetworks;
  return texts.map(parseNetwork).filter((network) => network !== null);
}

/** The rules of a mode with rules that is the one which runs. */
interface PreviousRules {
  readonly iptables: readonly RuleSet[];
  readonly nftables: readonly NftablesRuleSet[];
}

const NO_RULES: PreviousRules = { iptables: [], nftables: [] };

function previousRules({ mode, families }: ApiState, views: PlanViews): PreviousRules {
  const known = <T>(rules: (family: Family) => T | null) =>
    families.map(rules).filter((one) => one !== null);
  switch (mode) {
    case "iptables":
      return { ...NO_RULES, iptables: known((family) => views.iptables.rules(family)) };
    case "nftables":
      return { ...NO_RULES, nftables: known((family) => views.nftables.rules(family)) };
    default:
      return NO_RULES;
  }
}

async function rulesOf(
  future: Forecast,
  mode: ProxyMode,
  state: ApiState,
  previous: PreviousRules,
): Promise<RuleChange[]> {
  const { families, ruleOptions, ipvsOptions = DEFAULT_IPVS_OPTIONS } = state;
  const { nftablesOptions = DEFAULT_NFTABLES_OPTIONS } = state;
  const running = state.mode === mode;
  switch (mode) {
    case "iptables":
      return running
        ? previous.iptables.map((rules) => iptablesChange(future, rules, ruleOptions))
        : families.map((family) => iptablesChangeOfPlan(future, family, ruleOptions));
    case "ipvs":
      return await Promise.all(
        families.map((family) => ipvsChange(future, family, ipvsOptions)),
      );
    case "nftables":
      return running
        ? previous.nftables.map((rules) => nftablesChange(future, rules, nftablesOptions))
        : families.map((family) => nftablesChangeOfPlan(future, family, nftablesOptions));
    case "userspace":
      return [userspaceChange(future)];
  }
}

async function affected(state: ApiState, views: PlanViews, future: Forecast) {
  try {
    return await affectedConnections(state, views, future);
  } catch (error) {
    const why = messageOf(error);
    throw new ApiError(503, "node_unreadable", `the connections cannot be read: ${why}`);
  }
}

function shown(mode: ProxyMode, { added, removed, text, ...rest }: RuleChange) {
  return {
    mode,
    ...rest,
    added: added.slice(0, MOST_LINES),
    removed: removed.slice(0, MOST_LINES),
    addedTotal: added.length,
    removedTotal: removed.length,
    text: text === null || text.length > MOST_TEXT ? null : text,
  };
}

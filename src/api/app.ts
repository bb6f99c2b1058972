/**
 * The HTTP applications, one for each address: functions of the state, without any effect of their
 * own.
 *
 * @module
 */

import { OpenAPIHono } from "@hono/zod-openapi";
import { type Handler, Hono } from "hono";
import { type Arrival, guard } from "./access.ts";
import { type Check, checked, checks } from "./checks.ts";
import { invalidRequest, notFound, onError } from "./errors.ts";
import { addConntrack } from "./conntrack.ts";
import { addDiff } from "./diff.ts";
import { addDocument } from "./document.ts";
import { addEvents } from "./events.ts";
import { DriftWatch } from "./events/drift_watch.ts";
import { EventStreams, STREAM_LIMITS, type StreamLimits } from "./events/stream.ts";
import { addExplain, EXPLAIN_PATH } from "./explain.ts";
import { addHealth } from "./health.ts";
import { addHistory } from "./history.ts";
import { possibleHost } from "./host.ts";
import { identify } from "./identify.ts";
import { LARGE_LIMITS, LargeAnswers, type LargeLimits } from "./large_answers.ts";
import { addLookup } from "./lookup.ts";
import { addMetrics, type Metrics } from "./metrics.ts";
import { addNode } from "./node.ts";
import { ApiClient } from "./page/client.ts";
import { addLogin } from "./page/login.tsx";
import { addPages } from "./page/pages.tsx";
import { addPing } from "./ping.ts";
import { addPreview } from "./preview.ts";
import { addProxyMode } from "./proxy_mode.ts";
import { addReplay, REPLAY_LIMITS, type ReplayLimits } from "./replay.ts";
import { addRules } from "./rules.ts";
import { addServices } from "./services.ts";
import { addSimulate } from "./simulate.ts";
import { Sessions } from "./sessions.ts";
import type { ApiState } from "./state.ts";
import { syncsFirst } from "./syncs_first.ts";
import { tagged } from "./tagged.ts";
import { PlanViews } from "./plan_views.ts";
import { addZpages, type Zpages } from "./zpages.ts";
import { Witnesses } from "./witness/witnesses.ts";

/** How the rule-query API answers. */
export interface ApiOptions {
  readonly version: string;
  /** Asked for in every request; null: nobody is asked. */
  readonly token: string | null;
  /** A request's body has to be there within this time, milliseconds; 10 s if absent. */
  readonly bodyTimeoutMs?: number;
  /** What of {@link STREAM_LIMITS} is otherwise. */
  readonly streams?: Partial<StreamLimits>;
  /** What of {@link REPLAY_LIMITS} is otherwise. */
  readonly replay?: Partial<ReplayLimits>;
  /** What of {@link LARGE_LIMITS} is otherwise. */
  readonly large?: Partial<LargeLimits>;
  /** While there are clients of the events, the node is looked at this often; 30 s if absent. */
  readonly driftPeriodMs?: number;
}

/** Answers that are large and often the same; each path once, and a prefix is one of `/*` too. */
const TAGGED = ["/api/v1/services/*", "/api/v1/rules/*", "/openapi.json"];

function application(...before: readonly Check[]): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });
  app.onError(onError);
  app.notFound(notFound(app));
  app.use(checks(...before));
  return app;
}

/**
 * Has an application GET a path straight from its handler: the way through middleware, which the
 * framework goes in promises, would be a tenth of an explanation.
 */
function getStraight(app: OpenAPIHono, path: string, handler: Handler): void {
  const straight = new Hono().get(path, handler).onError(onError);
  const { fetch } = app;
  app.fetch = (request, ...rest) =>
    request.method === "GET" && hasPath(request.url, path)
      ? straight.fetch(request, ...rest)
      : fetch(request, ...rest);
}

/** Whether an absolute URL has a path, which is plain text. */
function hasPath(url: string, path: string): boolean {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  const end = start + path.length;
  return url.startsWith(path, start) && (end === url.length || url[end] === "?");
}

/** What answers on `--healthz-bind-address`. */
export function healthApp(state: ApiState, metrics: Metrics): OpenAPIHono {
  const app = application(identify());
  addHealth(app, state, metrics);
  return app;
}

/** What answers on `--metrics-bind-address`. */
export function metricsApp(
  state: ApiState,
  metrics: Metrics,
  zpages: Zpages | null = null,
): OpenAPIHono {
  const app = application(identify());
  addMetrics(app, state, metrics);
  addProxyMode(app, state);
  addPing(app, metrics.slis);
  if (zpages !== null) addZpages(app, zpages);
  return app;
}

/** What answers on `--api-bind-address`: the rule-query API, and everything above. */
export function queryApp(state: ApiState, metrics: Metrics, options: ApiOptions): OpenAPIHono {
  const { token } = options;
  const sessions = token === null ? null : new Sessions(token);
  const syncing = state.syncing?.bind(state) ?? (() => false);
  const first = syncsFirst(syncing, "/api/");
  const before = [
    identify(EXPLAIN_PATH),
    possibleHost(),
    guard(token, sessions),
    first,
  ];
  const app = application(...before);
  const large = new LargeAnswers({ ...LARGE_LIMITS, ...options.large }, first);
  for (const path of TAGGED) app.use(path, large.middleware, ...tagged());
  addHealth(app, state, metrics);
  addProxyMode(app, state);
  addMetrics(app, state, metrics);
  addNode(app, state, options.version);
  addServices(app, state);
  const bodyTimeoutMs = options.bodyTimeoutMs ?? 10_000;
  const views = new PlanViews(state);
  const witnesses = new Witnesses(state, views);
  addLookup(app, state, bodyTimeoutMs);
  const explain = addExplain(app, state, witnesses, bodyTimeoutMs);
  addHistory(app, state);
  addConntrack(app, state, views);
  addRules(app, state, views);
  addPreview(app, state, views, bodyTimeoutMs);
  addReplay(app, state, { ...REPLAY_LIMITS, ...options.replay });
  addSimulate(app, state, bodyTimeoutMs);
  const drift = new DriftWatch(
    state.events,
    state.node.differences?.bind(state.node),
    options.driftPeriodMs ?? 30_000,
  );
  addDiff(app, state, witnesses, drift);
  const limits = { ...STREAM_LIMITS, ...options.streams };
  addEvents(app, new EventStreams(state.events, limits, (used) => drift.watch(used)));
  addDocument(app, options.version);
  const itself: Arrival = { trusted: true };
  const api = new ApiClient(async (path) => await app.request(path, undefined, itself));
  addPages(app, { api, session: sessions !== null });
  if (token !== null && sessions !== null) addLogin(app, token, sessions, bodyTimeoutMs);
  getStraight(app, EXPLAIN_PATH, checked(explain, ...before));
  return app;
}

/**
 * Flags that say who is answered where.
 *
 * @module
 */

import { AGENT, ASKING, booleanFlag, flag, type FlagSpec, withoutEffect } from "../flag_spec.ts";
import * as value from "../values.ts";

export const SERVING_FLAGS = {
  "healthz-bind-address": flag(
    value.listenAddress(10256),
    "ADDRESS:PORT",
    "0.0.0.0:10256",
    'where /healthz and /livez answer; "" for nowhere',
  ),
  "metrics-bind-address": flag(
    value.listenAddress(10249),
    "ADDRESS:PORT",
    "127.0.0.1:10249",
    'where /metrics and /proxyMode answer; "" for nowhere',
  ),
  "api-bind-address": flag(
    value.listenAddress(10247),
    "ADDRESS:PORT",
    "127.0.0.1:10247",
    'where the rule-query API answers; "" for nowhere',
  ),
  "api-token-file": flag(
    value.nonEmpty("a file that holds the token"),
    "FILE",
    null,
    "bearer token that the rule-query API asks for; needed when it is not on loopback",
    { commands: [...AGENT, ...ASKING] },
  ),
  "state-dir": flag(
    value.nonEmpty("a folder"),
    "DIR",
    null,
    "where the history of plans and rules is kept over restarts; unset: nowhere",
  ),
  "bind-address-hard-fail": booleanFlag(
    false,
    "a health or metrics address that cannot be bound is fatal, not retried",
  ),
  "profiling": booleanFlag(
    false,
    "/debug/pprof/profile?seconds=N, a CPU profile of V8, and PUT /debug/flags/v on the metrics address",
  ),
  "show-hidden-metrics-for-version": flag(
    value.text,
    "VERSION",
    "",
    "show metrics that this version hid",
    withoutEffect("no metric is hidden"),
  ),
  "healthz-port": flag(
    value.integer(0, 65_535),
    "PORT",
    "10256",
    "port of a --healthz-bind-address without one; 0: health is not served",
  ),
  "metrics-port": flag(
    value.integer(0, 65_535),
    "PORT",
    "10249",
    "port of a --metrics-bind-address without one; 0: metrics are not served",
  ),
} satisfies Record<string, FlagSpec>;

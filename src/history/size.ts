/**
 * About how much memory a plan's parts take.
 *
 * @module
 */

import type { ServicePlan } from "../plan/plan.ts";
import type { HistoryEntry } from "./entry.ts";

const SERVICE = 400;
const PORT = 400;
const FRONTEND = 300;
/** Its strings included; lists share backends. */
const BACKEND = 300;
const REFERENCE = 8;

/** Bytes of a Service's plan, roughly. */
export function planBytes(plan: ServicePlan): number {
  return plan.ports.reduce(
    (sum, { frontends, endpoints, cluster, local }) =>
      sum + PORT + frontends.length * FRONTEND + endpoints.length * BACKEND +
      (cluster.length + local.length) * REFERENCE,
    SERVICE,
  );
}

const ENTRY = 300;
const CAUSE = 150;

/** Bytes of an entry without the plans that it refers to, roughly. */
export function entryBytes({ causes, sent }: HistoryEntry): number {
  return sent.reduce((sum, { text }) => sum + text.length, ENTRY + causes.length * CAUSE);
}

/**
 * What is kept of a sync that changed something.
 *
 * @module
 */

import { z } from "zod";

/** An object of the cluster that a sync was made for. */
const causeSchema = z.object({
  action: z.enum(["apply", "delete"]),
  kind: z.string(),
  /** "namespace/name", or just the name. */
  object: z.string(),
  /** As the API server counts; null where there is none. */
  resourceVersion: z.string().nullable(),
});

/** What was sent to the node. */
const sentSchema = z.object({
  /** What it is a part of: "IPv4", "IPv6", "routing". */
  where: z.string(),
  lines: z.int(),
  /** Of the text, as much as is kept. */
  text: z.string(),
  cut: z.boolean(),
});

/** How an entry's syncs ended. */
export const outcomeSchema = z.object({
  id: z.int().min(1),
  ok: z.boolean(),
  /** Why the last attempt failed, or null. */
  error: z.string().nullable(),
  /** Syncs it took, or took so far. */
  attempts: z.int().min(1),
  /** Of the last attempt. */
  durationMs: z.number(),
  sent: z.array(sentSchema).readonly(),
});

/** One entry of the history. */
export const entrySchema = outcomeSchema.extend({
  /** When its first sync ended, milliseconds since the epoch. */
  time: z.number(),
  /** "start": the first of a run; "resync": nothing in the cluster had changed. */
  trigger: z.enum(["start", "change", "resync"]),
  /** The first {@link MOST_CAUSES}. */
  causes: z.array(causeSchema).readonly(),
  causesTotal: z.int(),
  /** Whether what is known of the node itself changed. */
  node: z.boolean(),
});

export type Cause = Readonly<z.infer<typeof causeSchema>>;
export type SentRules = Readonly<z.infer<typeof sentSchema>>;
export type Outcome = Readonly<z.infer<typeof outcomeSchema>>;
export type HistoryEntry = Readonly<z.infer<typeof entrySchema>>;

/** Causes that are kept of one entry. */
export const MOST_CAUSES = 100;

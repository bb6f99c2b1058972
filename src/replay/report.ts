/**
 * What a replay found.
 *
 * @module
 */

import type { CaptureFormat } from "../capture/capture.ts";
import type { Protocol } from "../cluster/objects.ts";
import type { Verdict } from "../engine/handle.ts";
import type { FrontendKind } from "../plan/plan.ts";

/** An address and port. */
export interface ReplayEnd {
  readonly address: string;
  readonly port: number;
}

/** Packets and their bytes from the IP header on. */
export interface Amount {
  readonly packets: number;
  readonly bytes: number;
}

/** A connection of the capture, as the engine took it. */
export interface ReplayedConnection {
  readonly protocol: Protocol;
  readonly client: ReplayEnd;
  /** What the client dialled. */
  readonly frontend: ReplayEnd & { readonly kind: FrontendKind | null };
  /** kube-proxy's service port name. */
  readonly service: string | null;
  readonly verdict: Verdict;
  /** The backend that the engine chose; null unless it was forwarded. */
  readonly backend: ReplayEnd | null;
  readonly masqueraded: boolean;
  /** Why: the scheduler and its inputs, affinity, or why it was refused. */
  readonly reason: string;
  /** When its first packet came, ISO 8601; null where the capture does not say. */
  readonly startedAt: string | null;
  /** From its first packet to its last. */
  readonly durationMs: number | null;
  readonly original: Amount;
  /** Answers that the capture has of the frontend, whoever gave them. */
  readonly replies: Amount;
  /** Its packets that the engine dropped, by why. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** What one backend got. */
export interface BackendShare extends Amount {
  readonly service: string;
  readonly protocol: Protocol;
  readonly backend: ReplayEnd;
  readonly connections: number;
  /** Of the Service port's connections. */
  readonly share: number;
}

/** Packets that no Service rule applies to, by where they were sent. */
export interface Unmatched extends Amount {
  readonly protocol: string;
  /** Null for protocols without ports, all of them together. */
  readonly dest: ReplayEnd | null;
  readonly reason: string;
}

/** What a replay found. Lists are cut, totals are not. */
export interface ReplayReport {
  readonly format: CaptureFormat;
  readonly packets: number;
  readonly bytes: number;
  /** From the first packet to the last; null where the capture does not say. */
  readonly startedAt: string | null;
  readonly durationMs: number | null;
  /** Whether all packets were replayed; else the time was over. */
  readonly complete: boolean;
  readonly connections: readonly ReplayedConnection[];
  readonly connectionsTotal: number;
  readonly backends: readonly BackendShare[];
  readonly unmatched: readonly Unmatched[];
  readonly unmatchedTotal: Amount;
  /** Frames that are no IP packets, or are cut in their headers, by what they are. */
  readonly skipped: Readonly<Record<string, number>>;
}

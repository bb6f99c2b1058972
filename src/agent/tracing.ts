/**
 * Traces of syncs, by Deno's own OpenTelemetry: it exports to where the variables of the
 * OpenTelemetry specification say (OTEL_EXPORTER_OTLP_ENDPOINT and so on) when `OTEL_DENO=true` was set
 * as the process began, along with the requests that it answers and sends, and its log.
 *
 * @module
 */

import { VERSION } from "../config/version.ts";
import type { AgentObserver } from "./agent.ts";

/** What is used of a tracer of the OpenTelemetry API for JavaScript. */
interface Tracer {
  startSpan(name: string, options: {
    readonly startTime: number;
    readonly attributes: Readonly<Record<string, string | number | boolean>>;
  }): Span;
}

interface Span {
  setStatus(status: { readonly code: number; readonly message: string }): void;
  end(endTime: number): void;
}

/** SpanStatusCode.ERROR. */
const ERROR = 2;

/** Null when traces were not asked for. */
export function tracingObserver(mode: string): AgentObserver | null {
  if (Deno.env.get("OTEL_DENO") !== "true") return null;
  const { tracerProvider } = Deno.telemetry as unknown as {
    tracerProvider: { getTracer(name: string, version: string): Tracer };
  };
  return traceSyncs(tracerProvider.getTracer("switchyard", VERSION), mode);
}

/** A span for each sync, told when it has ended. */
function traceSyncs(tracer: Tracer, mode: string, now = Date.now): AgentObserver {
  return {
    queued() {},
    synced({ durationMs, change, error }) {
      const end = now();
      const span = tracer.startSpan("sync", {
        startTime: end - durationMs,
        attributes: {
          "switchyard.mode": mode,
          "switchyard.services.updated": change.updated.length,
          "switchyard.services.removed": change.removed.length,
          "switchyard.node.changed": change.node !== null,
        },
      });
      if (error !== null) span.setStatus({ code: ERROR, message: error });
      span.end(end);
    },
  };
}

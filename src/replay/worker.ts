/**
 * The thread of a replay: it reads a file that anyone may have sent, may read nothing of the machine
 * but the engine itself, and ends with the replay.
 *
 * @module
 */

import { readCapture } from "../capture/capture.ts";
import { findIp } from "../capture/link.ts";
import { CaptureError } from "../capture/reader.ts";
import { Engine, type EngineOptions } from "../engine/engine.ts";
import { type NodeInfo, serviceKey, type ServicePlan } from "../plan/plan.ts";
import { serveCalls } from "../rpc/worker_rpc.ts";
import { Replay, type ReplayOptions } from "./replay.ts";
import type { ReplayReport } from "./report.ts";
import { endpointNames } from "./unmatched.ts";

/** Where and how a capture is broken. */
export interface BrokenCapture {
  readonly offset: number;
  readonly message: string;
}

/** The calls that the worker answers. A type alias, as index signatures don't fit interfaces. */
export type ReplayMethods = {
  /** Takes the capture; says what is wrong with it, or null. */
  open(file: Uint8Array): BrokenCapture | null;
  start(options: EngineOptions, node: NodeInfo): void;
  /** Some of the plan's Services. */
  add(services: readonly ServicePlan[]): void;
  run(options: ReplayOptions): ReplayReport;
};

let capture = new Uint8Array();
let engine: Engine | null = null;
const endpoints = new Map<string, string>();

const methods: ReplayMethods = {
  open(file) {
    capture = new Uint8Array(file);
    try {
      for (const packet of readCapture(capture)) findIp(packet);
      return null;
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      return { offset: error.offset, message: error.message };
    }
  },
  start(options, node) {
    engine = Engine.create(options);
    engine.apply({ node, updated: [], removed: [] });
  },
  add(services) {
    engine!.apply({ node: null, updated: services, removed: [] });
    const keyed = new Map(services.map((one) => [serviceKey(one), one]));
    for (const [key, name] of endpointNames(keyed)) endpoints.set(key, name);
  },
  run: (options) => new Replay(engine!, endpoints).run(capture, options),
};

serveCalls(self as unknown as Parameters<typeof serveCalls>[0], methods);

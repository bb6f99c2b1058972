/**
 * The thread that simulates.
 *
 * @module
 */

import { serveCalls } from "../rpc/worker_rpc.ts";
import { simulate } from "./simulate.ts";

/** What the thread does when asked. */
const METHODS = { simulate };
export type SimulationMethods = typeof METHODS;

serveCalls(self as unknown as Parameters<typeof serveCalls>[0], METHODS);

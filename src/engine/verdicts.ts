/**
 * What becomes of a packet, by how the engine came to its answer.
 *
 * @module
 */

import { LookupReason } from "./abi.ts";
import type { Verdict } from "./handle.ts";

/** Verdicts by reason. */
export const VERDICTS: Readonly<Record<LookupReason, Verdict>> = {
  [LookupReason.NoFrontend]: "PASS",
  [LookupReason.Tracked]: "FORWARD",
  [LookupReason.SourceRange]: "DROP",
  [LookupReason.NoEndpoints]: "REJECT",
  [LookupReason.NoLocalEndpoint]: "DROP",
  [LookupReason.Affinity]: "FORWARD",
  [LookupReason.Scheduled]: "FORWARD",
  [LookupReason.NoUsableBackend]: "REJECT",
};

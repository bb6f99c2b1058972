/** Tells of two syncs, as the agent does. */

import { tracingObserver } from "../../src/agent/tracing.ts";
import { printLines } from "../../src/commands/io.ts";

const waiting = { services: 0, endpoints: 0 };
const change = { node: null, updated: [], removed: ["default/web"] };
const sync = { waiting, change, changes: [] };
const observer = tracingObserver("iptables");
printLines(observer === null ? "no traces" : "traces");
observer?.synced({ ...sync, durationMs: 250, ok: true, error: null });
observer?.synced({ ...sync, durationMs: 5, ok: false, error: "refused" });

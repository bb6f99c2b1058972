/**
 * What the agent says about itself when it starts.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { RunningAgent } from "../agent/assemble.ts";
import type { Config } from "../config/config.ts";
import { formatListenAddress } from "../config/values.ts";
import { printLines } from "./io.ts";

const logger = getLogger(["switchyard", "run"]);

/** One line for the flags that were given and have no effect yet, if there are any. */
export function tellIgnoredFlags(config: Config): void {
  if (config.withoutEffect.length === 0) return;
  logger.warn("accepted, but without effect so far: {flags}", {
    flags: config.withoutEffect.join(", "),
  });
}

/** That it serves: one line, or one JSON object, on standard output. */
export function announce(config: Config, running: RunningAgent, programming: boolean): void {
  const { agent, servers } = running;
  const services = agent.plan.services.size;
  const mode = agent.dataPlane.mode;
  const api = servers.api === null ? null : `http://${formatListenAddress(servers.api.address)}`;
  if (config.output === "json") {
    const event = "serving";
    printLines(JSON.stringify({ event, services, mode, programming, node: config.nodeName, api }));
    return;
  }
  const what = services === 1 ? "1 Service" : `${services} Services`;
  const doing = programming
    ? `serving ${what} in ${mode} mode`
    : `answering queries about ${what}, forwarding nothing`;
  printLines(`${doing}${api === null ? "" : `; API at ${api}/api/v1/services`}`);
}

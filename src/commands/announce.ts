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

/** One line each for what was given and has no effect, and what the configuration file overrides. */
export function tellIgnoredFlags({ withoutEffect, ignored }: Config): void {
  if (withoutEffect.length > 0) {
    logger.warn("accepted, but without effect: {names}", { names: withoutEffect.join(", ") });
  }
  if (ignored.length > 0) {
    logger.warn("not read, because there is --config: {names}", { names: ignored.join(", ") });
  }
}

/** Where the API answers; null: nowhere. */
function apiOf({ api, apiSocket }: RunningAgent["servers"]): string | null {
  if (api !== null) return `http://${formatListenAddress(api.address)}`;
  return apiSocket === null ? null : `unix:${apiSocket.path}`;
}

/** That it serves: one line, or one JSON object, on standard output. */
export function announce(config: Config, running: RunningAgent, programming: boolean): void {
  const { agent, servers } = running;
  const services = agent.plan.services.size;
  const mode = agent.dataPlane.mode;
  const api = apiOf(servers);
  if (config.output === "json") {
    const event = "serving";
    printLines(JSON.stringify({ event, services, mode, programming, node: config.nodeName, api }));
    return;
  }
  const what = services === 1 ? "1 Service" : `${services} Services`;
  const doing = programming
    ? `serving ${what} in ${mode} mode`
    : `answering queries about ${what}, forwarding nothing`;
  const where = servers.api === null ? `; API at ${api}` : `; page and API at ${api}/`;
  printLines(`${doing}${api === null ? "" : where}`);
}

/**
 * What the configuration says, for the metrics server to tell.
 *
 * @module
 */

import type { Zpages } from "../api/zpages.ts";
import type { Config } from "../config/config.ts";
import { internalConfiguration } from "../config/file/encode.ts";
import { isEnabled } from "../config/gates.ts";
import { setVerbosity } from "../config/logging.ts";
import { VERSION } from "../config/version.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";

/** @param mode the mode that runs, which the configuration may leave open. */
export function zpagesOf(config: Config, mode: ProxyMode): Zpages {
  const { featureGates } = config;
  return {
    version: VERSION,
    configuration: () => internalConfiguration({ ...config.configuration, mode }),
    flags: config.flags,
    statusz: isEnabled("ComponentStatusz", featureGates),
    flagz: isEnabled("ComponentFlagz", featureGates),
    profiling: config.profiling,
    setVerbosity,
  };
}

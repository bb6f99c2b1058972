/**
 * `--write-config-to`: the configuration that flags and file make, as a file.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { configurationText } from "../config/file/encode.ts";
import { messageOf } from "../errors.ts";

/** Writes; resolves with the exit status. */
export async function writeConfiguration(config: Config, path: string): Promise<number> {
  try {
    await Deno.writeTextFile(path, configurationText(config.configuration));
  } catch (error) {
    throw new Error(`--write-config-to ${path}: ${messageOf(error)}`);
  }
  return 0;
}

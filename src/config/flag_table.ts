/**
 * Every flag: name, value, default, help, and which commands take it. The names and defaults of
 * kube-proxy's flags are kube-proxy's.
 *
 * @module
 */

import type { z } from "zod";
import type { FlagSpec } from "./flag_spec.ts";
import { ASKING_FLAGS } from "./flag_tables/asking.ts";
import { FORWARDING_FLAGS } from "./flag_tables/forwarding.ts";
import { KERNEL_FLAGS } from "./flag_tables/kernel.ts";
import { LOGGING_FLAGS } from "./flag_tables/logging.ts";
import { PROCESS_FLAGS } from "./flag_tables/process.ts";
import { SERVING_FLAGS } from "./flag_tables/serving.ts";

export type { FlagCommand, FlagSpec } from "./flag_spec.ts";

/** Every flag by name. */
export const FLAGS = {
  ...ASKING_FLAGS,
  ...FORWARDING_FLAGS,
  ...KERNEL_FLAGS,
  ...SERVING_FLAGS,
  ...PROCESS_FLAGS,
  ...LOGGING_FLAGS,
} satisfies Record<string, FlagSpec>;

/** Names of all flags. */
export type FlagName = keyof typeof FLAGS;

/** The values of all flags; undefined for those that are unset and have no default. */
export type FlagValues = {
  readonly [Name in FlagName]: z.output<(typeof FLAGS)[Name]["schema"]> | undefined;
};

/**
 * What a flag is, and how one is written down in the tables of flags.
 *
 * @module
 */

import type { z } from "zod";
import * as value from "./values.ts";

/** The commands that take flags. */
export type FlagCommand =
  | "run"
  | "lab"
  | "render"
  | "explain"
  | "diff"
  | "preview"
  | "replay"
  | "cleanup";

/** How a flag is taken. */
export type FlagSupport =
  /** It does what it says. */
  | "honoured"
  /** kube-proxy has it; it is accepted, has no effect, {@link FlagSpec.why}, and the start says so. */
  | "without-effect";

/** One flag. */
export interface FlagSpec {
  /** From what was typed (a list gets every occurrence) to the value; the message on failure. */
  readonly schema: z.ZodType<unknown, string> | z.ZodType<unknown, string[]>;
  readonly kind: "value" | "list" | "boolean";
  /** What stands for the value in the help. */
  readonly placeholder: string;
  /** As it would be typed; null: unset. */
  readonly default: string | null;
  /** Whether an empty value is none, as kube-proxy's flags of chosen words take it. */
  readonly emptyIsUnset?: boolean;
  readonly help: string;
  readonly commands: readonly FlagCommand[];
  readonly support: FlagSupport;
  /** Why a flag has no effect. */
  readonly why?: string;
}

/** Those that serve. */
export const AGENT: readonly FlagCommand[] = ["run", "lab"];
/** Those that make a plan. */
const PLANNING: readonly FlagCommand[] = [
  ...AGENT,
  "render",
  "explain",
  "diff",
  "preview",
  "replay",
];
/** Those that can ask a running agent instead. */
export const ASKING: readonly FlagCommand[] = ["explain", "diff", "preview", "replay"];
const EVERY: readonly FlagCommand[] = [...PLANNING, "cleanup"];

/** What is otherwise than in most flags, which are the agent's and do what they say. */
export interface Extra {
  readonly emptyIsUnset?: boolean;
  readonly commands?: readonly FlagCommand[];
  readonly support?: FlagSupport;
  readonly why?: string;
}

/** A flag with a value; a `defaultText` of null: unset. */
export function flag<S extends z.ZodType<unknown, string>>(
  schema: S,
  placeholder: string,
  defaultText: string | null,
  help: string,
  extra: Extra = {},
) {
  const rest = { commands: AGENT, support: "honoured" as FlagSupport, ...extra };
  return { schema, kind: "value" as const, placeholder, default: defaultText, help, ...rest };
}

/** A flag that may be repeated. */
export function listFlag<S extends z.ZodType<unknown, string[]>>(
  schema: S,
  placeholder: string,
  defaultText: string,
  help: string,
  extra: Extra = {},
) {
  const rest = { commands: AGENT, support: "honoured" as FlagSupport, ...extra };
  return { schema, kind: "list" as const, placeholder, default: defaultText, help, ...rest };
}

/** A flag that may stand alone, which means true. */
export function booleanFlag(defaultValue: boolean, help: string, extra: Extra = {}) {
  const rest = { commands: AGENT, support: "honoured" as FlagSupport, ...extra };
  const schema = value.boolean;
  return {
    schema,
    kind: "boolean" as const,
    placeholder: "",
    default: String(defaultValue),
    help,
    ...rest,
  };
}

/** For {@link Extra}: which commands take a flag. */
export const planning = { commands: PLANNING } as const;
export const every = { commands: EVERY } as const;
export const explaining = { commands: ["explain"] } as const;
export const replaying = { commands: ["replay"] } as const;
export const previewing = { commands: ["preview"] } as const;
export const differing = { commands: ["diff"] } as const;
export const run = { commands: ["run"] } as const;
/** For {@link Extra}: a flag of kube-proxy that has no effect, and why. */
export const withoutEffect = (why: string) => ({ support: "without-effect", why } as const);
/** kube-proxy takes them, and does nothing with them either. */
export const deprecated = withoutEffect("kube-proxy does nothing with it either");

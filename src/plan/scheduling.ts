/**
 * How a Service's backends are chosen: by the scheduler of the command line, or by one that the
 * Service's annotations name.
 *
 * @module
 */

import {
  SCHEDULER_ANNOTATION,
  SCHEDULER_FLAGS_ANNOTATION,
  type Scheduling,
} from "../services/service_port.ts";
import type { SchedulerFlagName, SchedulerName } from "./plan.ts";

/** Every scheduler: the kernel's and, where we choose ourselves, random. */
export const SCHEDULER_NAMES = [
  "rr",
  "wrr",
  "lc",
  "wlc",
  "lblc",
  "lblcr",
  "dh",
  "sh",
  "sed",
  "nq",
  "fo",
  "ovf",
  "mh",
  "twos",
  "random",
] as const satisfies readonly SchedulerName[];

/** Every flag of schedulers. */
export const SCHEDULER_FLAGS: readonly SchedulerFlagName[] = [
  "sh-fallback",
  "sh-port",
  "mh-fallback",
  "mh-port",
];

/** The flags that a scheduler takes. */
export function flagsOfScheduler(scheduler: SchedulerName): readonly SchedulerFlagName[] {
  return SCHEDULER_FLAGS.filter((flag) => flag.startsWith(`${scheduler}-`));
}

/** A scheduler with its flags. */
export interface Choice {
  readonly scheduler: SchedulerName;
  readonly flags: readonly SchedulerFlagName[];
}

/** A scheduler as kube-proxy asks for it: mh also goes by the client's port. */
export function usualChoice(scheduler: SchedulerName): Choice {
  return { scheduler, flags: scheduler === "mh" ? ["mh-port"] : [] };
}

/** An annotation that cannot be used. */
export interface AnnotationProblem {
  readonly field: string;
  readonly message: string;
}

/**
 * What a Service's annotations ask for, one of the schedulers that can be had; what they leave open
 * is as usual. With a bad value it is the default altogether.
 */
export function chooseScheduling(
  annotated: Scheduling,
  available: readonly SchedulerName[],
  usual: Choice,
): { readonly choice: Choice; readonly problems: readonly AnnotationProblem[] } {
  const scheduler = annotated.scheduler === undefined
    ? usual.scheduler
    : available.find((name) => name === annotated.scheduler);
  if (scheduler === undefined) {
    return refused(
      SCHEDULER_ANNOTATION,
      `${JSON.stringify(annotated.scheduler)}: expected one of ${available.join(", ")}`,
      usual,
    );
  }
  const plain = scheduler === usual.scheduler ? usual : usualChoice(scheduler);
  if (annotated.flags === undefined) return { choice: plain, problems: [] };
  const known = flagsOfScheduler(scheduler);
  const flags: SchedulerFlagName[] = [];
  for (const word of annotated.flags.split(",").map((word) => word.trim())) {
    if (word === "") continue;
    const flag = known.find((name) => name === word);
    if (flag === undefined) {
      const expected = known.length === 0 ? "none" : known.join(", ");
      return refused(
        SCHEDULER_FLAGS_ANNOTATION,
        `${JSON.stringify(word)}: scheduler ${scheduler} takes ${expected}`,
        usual,
      );
    }
    if (!flags.includes(flag)) flags.push(flag);
  }
  return { choice: { scheduler, flags }, problems: [] };
}

function refused(annotation: string, message: string, choice: Choice) {
  return { choice, problems: [{ field: `metadata.annotations[${annotation}]`, message }] };
}

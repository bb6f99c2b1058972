/** Options of the tasks that look for faults for as long as they are given. */

import { parseArgs } from "node:util";
import { messageOf } from "../src/errors.ts";

/** An option that is wrong; one line. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

/** The values of `--name value`, by the defaults of all. Throws OptionError of one line. */
export function taskOptions<Options extends Readonly<Record<string, string>>>(
  defaults: Options,
  args: readonly string[] = Deno.args,
): Record<keyof Options, string> {
  const options = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      { type: "string" as const, default: value },
    ]),
  );
  try {
    const { values } = parseArgs({ args: [...args], options });
    return values as Record<keyof Options, string>;
  } catch (error) {
    throw new OptionError(messageOf(error).split(". ", 1)[0]);
  }
}

/** A length of time: a number above 0. Throws OptionError. */
export function lengthOf(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new OptionError(`--${name} ${JSON.stringify(text)}: expected a number above 0`);
}

/** A seed: a whole number from 0. Throws OptionError. */
export function seedOf(text: string): number {
  const value = Number(text);
  if (text !== "" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new OptionError(`--seed ${JSON.stringify(text)}: expected a whole number from 0`);
}

/** Runs a task, and ends with its status; 2 and one line where an option is wrong. */
export async function runTask(task: () => number | Promise<number>): Promise<never> {
  try {
    Deno.exit(await task());
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    Deno.stderr.writeSync(new TextEncoder().encode(`${error.message}\n`));
    Deno.exit(2);
  }
}

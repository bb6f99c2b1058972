/**
 * Since when real servers leave, in a file: the kernel remembers that they do, but not since when, so
 * that a restart would put their deadline off.
 *
 * The file is advice. Without it, or where it cannot be right, a server leaves from when it is found.
 *
 * @module
 */

import { dirname } from "node:path";
import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { messageOf } from "../../errors.ts";
import { readSysctl } from "../../linux/sysctl.ts";
import { replaceFile } from "../../replace_file.ts";

const logger = getLogger(["switchyard", "ipvs"]);

const Content = z.object({
  /** Of the kernel, whose connections do not outlive it. */
  boot: z.string(),
  /** Milliseconds since the epoch. */
  since: z.record(z.string(), z.int().nonnegative()),
});

/** By the names of a virtual server and of its real one; milliseconds since the epoch. */
export type Times = ReadonlyMap<string, number>;

/** The times of all families in one file, which only this process writes. */
export class LeavingTimes {
  readonly #path: string;
  readonly #boot: string;
  /** What the file says; where there is none, that nothing leaves. */
  #said: string;
  #complained = false;

  private constructor(path: string, boot: string, { times, text }: Reading) {
    this.#path = path;
    this.#boot = boot;
    this.found = times;
    this.#said = text ?? textOf(boot, []);
  }

  /** What the file said at first. */
  readonly found: Times;

  /**
   * Reads the file at `path`. One that is not there, is broken or of another boot of the machine gives
   * no times, and one line in the log; times of the future are left out.
   */
  static open(
    path: string,
    now: () => number = Date.now,
    boot: string = readSysctl("kernel.random.boot_id") ?? "",
  ): LeavingTimes {
    const reading = read(path, now(), boot);
    const { problem } = reading;
    if (problem !== null) {
      logger.info("servers that leave begin to do so anew: {path}: {problem}", { path, problem });
    }
    return new LeavingTimes(path, boot, reading);
  }

  /** Writes the file if it says otherwise. Where it cannot be written, that is said once. */
  keep(times: readonly Times[]): void {
    const text = textOf(this.#boot, times);
    if (text === this.#said) return;
    try {
      Deno.mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      replaceFile(this.#path, text);
      this.#said = text;
      this.#complained = false;
    } catch (error) {
      if (this.#complained) return;
      this.#complained = true;
      logger.warn("a restart will begin the deadlines of leaving servers anew: {path}: {error}", {
        path: this.#path,
        error: messageOf(error),
      });
    }
  }
}

function textOf(boot: string, times: readonly Times[]): string {
  const since = Object.fromEntries(times.flatMap((some) => [...some]).sort());
  return JSON.stringify({ boot, since }) + "\n";
}

/** What a file says. */
interface Reading {
  readonly times: Times;
  /** Null where there is no file. */
  readonly text: string | null;
  /** Why times are missing, or null. */
  readonly problem: string | null;
}

function read(path: string, now: number, boot: string): Reading {
  const nothing = { times: new Map(), text: null };
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    return { ...nothing, problem: missing ? "no such file" : messageOf(error) };
  }
  const content = parse(text);
  if (content === null) return { ...nothing, text, problem: "it is broken" };
  if (content.boot !== boot) return { ...nothing, text, problem: "it is of another boot" };
  const all = Object.entries(content.since);
  const past = all.filter(([, since]) => since <= now);
  const future = all.length - past.length;
  const problem = future === 0 ? null : `${future} of ${all.length} times are in the future`;
  return { times: new Map(past), text, problem };
}

function parse(text: string): z.infer<typeof Content> | null {
  try {
    return Content.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}

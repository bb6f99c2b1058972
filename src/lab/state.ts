/**
 * The file by which `lab exec` finds the lab that runs: who holds the namespaces, and where.
 *
 * It is advice, not a lock: what it says holds only while the process it names runs, so one left by
 * a lab that was killed is recognised and replaced.
 *
 * @module
 */

import { z } from "zod";
import { removeFile, replaceFile } from "../replace_file.ts";
import { isRunning, ownIdentity } from "../linux/process.ts";

const LabState = z.object({
  pid: z.int().positive(),
  startTime: z.int().nonnegative(),
  /** Set when the namespaces belong to a user namespace of the lab's own. */
  userNamespace: z.boolean(),
  /** By name: the process's descriptor of the namespace, and the addresses in it. */
  namespaces: z.record(
    z.string(),
    z.object({ fd: z.int().nonnegative(), addresses: z.array(z.string()).readonly() }),
  ),
});

/** A running lab. */
export type LabState = z.infer<typeof LabState>;

/**
 * Where the file of this user's lab is: in $XDG_RUNTIME_DIR, else /run for root, else /tmp.
 * {@link STATE_VARIABLE} overrides it.
 */
export function statePath(): string {
  const chosen = Deno.env.get(STATE_VARIABLE);
  if (chosen !== undefined && chosen !== "") return chosen;
  const uid = Deno.uid() ?? 0;
  const directory = Deno.env.get("XDG_RUNTIME_DIR") || (uid === 0 ? "/run" : "/tmp");
  return `${directory}/switchyard-lab-${uid}.json`;
}

/** Environment variable that names the state file. */
export const STATE_VARIABLE = "SWITCHYARD_LAB_STATE";

/** The lab that runs, or null. Throws when the file is not one that this user's lab wrote. */
export function readState(path = statePath()): LabState | null {
  let text: string;
  try {
    // Not followed when it is a link, and believed only from the same user: /tmp is everyone's.
    const info = Deno.lstatSync(path);
    if (!info.isFile || info.uid !== Deno.uid()) {
      throw new Error(`${path} is not a file of this user; remove it or set ${STATE_VARIABLE}`);
    }
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  let parsed;
  try {
    parsed = LabState.safeParse(JSON.parse(text));
  } catch {
    // Not JSON at all: no lab wrote this, so none is running by it.
    return null;
  }
  if (!parsed.success) return null;
  return isRunning(parsed.data) ? parsed.data : null;
}

/** Says that this process is the lab and holds these namespaces. Replaces the file whole. */
export function writeState(
  namespaces: LabState["namespaces"],
  userNamespace: boolean,
  path = statePath(),
): void {
  const state: LabState = { ...ownIdentity(), userNamespace, namespaces };
  replaceFile(path, JSON.stringify(state) + "\n");
}

/** Removes the file if it speaks of this process. */
export function removeState(path = statePath()): void {
  if (readState(path)?.pid === Deno.pid) removeFile(path);
}

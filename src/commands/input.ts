/**
 * Texts that the command line names: paths, or "-" for standard input.
 *
 * @module
 */

import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";

/**
 * Refuses standard input for several flags at once.
 *
 * @param paths by flag, as in "--flows"; null where it was not given.
 * @throws {UsageError}
 */
export function refuseSharedInput(paths: Readonly<Record<string, string | null>>): void {
  const flags = Object.keys(paths).filter((flag) => paths[flag] === "-");
  if (flags.length < 2) return;
  throw new UsageError(`${flags.join(" and ")}: only one of them can be standard input`);
}

/**
 * The text of an input.
 *
 * @throws {UsageError} naming the flag and the path.
 */
export async function readInput(flag: string, path: string): Promise<string> {
  try {
    if (path === "-") return await new Response(Deno.stdin.readable).text();
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`${flag}: ${inputName(path)}: ${reasonOf(error)}`);
  }
}

/**
 * The bytes of an input.
 *
 * @throws {UsageError} naming what it is for, and the path.
 */
export async function readInputBytes(flag: string, path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    if (path === "-") return await new Response(Deno.stdin.readable).bytes();
    return await Deno.readFile(path);
  } catch (error) {
    throw new UsageError(`${flag}: ${inputName(path)}: ${reasonOf(error)}`);
  }
}

/** What an input is called in messages. */
export function inputName(path: string): string {
  return path === "-" ? "standard input" : path;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.IsADirectory) return "is a folder, expected a file";
  return messageOf(error);
}

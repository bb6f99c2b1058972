/**
 * What programs print of a node, as command lines name it.
 *
 * @module
 */

import { UsageError } from "../config/usage.ts";
import { SaveTextError } from "../dataplane/iptables/save_text.ts";
import { messageOf } from "../errors.ts";
import { IpSetError } from "../explain/iptables/ipset.ts";
import { IpvsSaveError } from "../explain/ipvs/save_text.ts";
import { inputName, readInput } from "./input.ts";

/** What text may fail to be. */
const TEXT_ERRORS = [SaveTextError, IpSetError, IpvsSaveError];

/** What the text of an input says. @throws {UsageError} naming the flag, the path and the line. */
export async function readDump<T>(
  flag: string,
  path: string,
  parse: (text: string) => T,
): Promise<T> {
  const text = await readInput(flag, path);
  try {
    return parse(text);
  } catch (error) {
    if (!TEXT_ERRORS.some((known) => error instanceof known)) throw error;
    throw new UsageError(`${flag}: ${inputName(path)}: ${messageOf(error)}`);
  }
}

/**
 * What programs print of a node, as command lines name it.
 *
 * @module
 */

import type { ExplainInput } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { SaveTextError } from "../dataplane/iptables/save_text.ts";
import { NftTextError } from "../dataplane/nftables/language/tokens.ts";
import { messageOf } from "../errors.ts";
import { IpSetError } from "../explain/netfilter/ipset.ts";
import { IpvsSaveError } from "../explain/ipvs/save_text.ts";
import { inputName, readInput } from "./input.ts";

/** What text may fail to be. */
const TEXT_ERRORS = [SaveTextError, NftTextError, IpSetError, IpvsSaveError];

/** A node's rules on a command line. */
export interface RulesDump {
  /** Whose rules they are. */
  readonly mode: "iptables" | "ipvs" | "nftables";
  /** The flag that says so. */
  readonly flag: string;
}

/** The rules of a node that are given; null: none are. */
export function rulesDump(input: ExplainInput): RulesDump | null {
  const { iptablesSave, ipvsadmSave, nftList } = input;
  if (nftList !== null) return { mode: "nftables", flag: "--nft-list" };
  if (iptablesSave === null) return null;
  return ipvsadmSave === null
    ? { mode: "iptables", flag: "--iptables-save" }
    : { mode: "ipvs", flag: "--ipvsadm-save" };
}

/** The dumps by flag, as they are named. */
export function dumpFlags(input: ExplainInput): Readonly<Record<string, string | null>> {
  return {
    "--iptables-save": input.iptablesSave,
    "--ipset-save": input.ipsetSave,
    "--ipvsadm-save": input.ipvsadmSave,
    "--nft-list": input.nftList,
  };
}

/**
 * What is printed of sets and virtual servers goes with what is of iptables, and nothing with nft.
 *
 * @throws {UsageError}
 */
export function checkDumpFlags(input: ExplainInput): void {
  for (const [flag, path] of Object.entries(dumpFlags(input))) {
    if (path === null || flag === "--nft-list") continue;
    const given = `${flag} ${JSON.stringify(path)}`;
    if (input.nftList !== null) throw new UsageError(`${given}: expected none with --nft-list`);
    if (input.iptablesSave === null) throw new UsageError(`${given}: expected --iptables-save too`);
  }
}

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
    const meant = printedBy(text);
    const reason = meant === null || meant.flag === flag
      ? messageOf(error)
      : `it is what ${meant.program} prints: expected ${meant.flag}`;
    throw new UsageError(`${flag}: ${inputName(path)}: ${reason}`);
  }
}

/** Programs whose rules can be told by their form. */
const PROGRAMS = [
  { program: "nft list", flag: "--nft-list", form: /^\s*table \w+ \S+ \{/m },
  { program: "iptables-save", flag: "--iptables-save", form: /^\*(?:nat|filter|mangle|raw)$/m },
];

function printedBy(text: string) {
  return PROGRAMS.find(({ form }) => form.test(text)) ?? null;
}

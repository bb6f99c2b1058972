/**
 * Takes the proxy's rules, ours or kube-proxy's, off a node. What the kubelet shares with it stays:
 * the chain KUBE-FIREWALL and the jumps to it.
 *
 * @module
 */

import { FAMILIES, type Family } from "../../net/address.ts";
import { NodeRulesAccess, readNodeRules, type RulesAccess } from "./apply.ts";
import { countLines, diffTable, type TableDiff } from "./diff.ts";
import { JUMPS } from "./jumps.ts";
import { CHAIN } from "./names.ts";
import { hasLegacyTables, installedPrograms, type ProgramRunner } from "./programs.ts";
import { NODE_TABLES, type NodeRules, type OtherRule, targetsOfOthers } from "./read.ts";
import { ruleLine } from "./text.ts";
import { keyOf } from "./transaction.ts";
import { transactionText } from "./transaction_text.ts";
import { messageOf } from "../../errors.ts";

/** The changes that take everything of ours off a node with these rules. */
function diffCleanup(node: NodeRules, family: Family): TableDiff[] {
  return NODE_TABLES.map((table) => {
    const { own, others } = node[table];
    const ours = new Map(
      JUMPS.filter((jump) => jump.table === table && jump.to !== CHAIN.kubeletFirewall)
        .map((jump) => [`${jump.chain} ${keyOf(jump.spec, family)}`, jump.spec]),
    );
    const foreign: string[] = [];
    const left = new Map<string, OtherRule[]>();
    for (const [chain, rules] of others) {
      left.set(chain, rules.filter((rule) => !ours.has(`${chain} ${rule.key}`)));
      for (const { key } of rules) {
        const spec = ours.get(`${chain} ${key}`);
        if (spec !== undefined) foreign.push(ruleLine("-D", chain, spec));
      }
    }
    return diffTable(table, own, new Map(), { referenced: targetsOfOthers(left), foreign });
  });
}

/** Cleans one family up. Returns the number of lines that it took. */
async function cleanupFamily(access: RulesAccess, family: Family): Promise<number> {
  const node = await readNodeRules(access, family);
  const diffs = diffCleanup(node, family);
  const text = transactionText(diffs, access.chainLimit);
  if (text !== null) await access.restore(family, text);
  return diffs.reduce((sum, diff) => sum + countLines(diff), 0);
}

/**
 * Cleans a node up in both families and in every installed iptables. Goes on after a failure;
 * returns what failed, one line each.
 */
export async function cleanupIptables(runner: ProgramRunner): Promise<string[]> {
  const failures: string[] = [];
  for (const programs of await installedPrograms(runner)) {
    if (programs.backend === "legacy" && !hasLegacyTables(runner)) continue;
    const access = new NodeRulesAccess(runner, programs);
    for (const family of FAMILIES) {
      try {
        await cleanupFamily(access, family);
      } catch (error) {
        failures.push(messageOf(error));
      }
    }
  }
  return failures;
}

/**
 * The nodes that `diff` compares with: by what programs print of one, or the one that this is.
 *
 * @module
 */

import { interfaceAddresses } from "../agent/addresses.ts";
import {
  type GiveNode,
  iptablesNode,
  ipvsNode,
  nftablesNode,
  type SavedText,
  userspaceNode,
} from "../agent/given_node.ts";
import type { Config, ExplainInput } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import { NodeRulesAccess } from "../dataplane/iptables/apply.ts";
import { findPrograms, ProgramRunner } from "../dataplane/iptables/programs.ts";
import { parseSave } from "../dataplane/iptables/save_text.ts";
import { hasIpvsLeftovers } from "../dataplane/ipvs/cleanup.ts";
import { NetlinkKernel } from "../dataplane/ipvs/kernel.ts";
import { hasNftablesLeftovers } from "../dataplane/nftables/cleanup.ts";
import { NetlinkAccess } from "../dataplane/nftables/kernel/netlink_access.ts";
import { parseRuleset } from "../dataplane/nftables/language/parse.ts";
import { tableFamily } from "../dataplane/nftables/names.ts";
import { foundationDifferences } from "../dataplane/userspace/foundation.ts";
import { isOwnRule } from "../dataplane/userspace/own.ts";
import { readRouting } from "../dataplane/userspace/routing.ts";
import { splitFamilies } from "../explain/iptables/explain.ts";
import { parseIpvsSave } from "../explain/ipvs/save_text.ts";
import { parseSavedSets, SavedKernel } from "../explain/ipvs/saved_kernel.ts";
import { readSysctl } from "../linux/sysctl.ts";
import { FAMILIES, type Family } from "../net/address.ts";
import { Rtnetlink } from "../netlink/route/rtnetlink.ts";
import { readDump } from "./dumps.ts";

/** A node to compare with. */
export interface NodeToCompare {
  readonly mode: ProxyMode;
  readonly node: GiveNode;
  /** Of its interfaces, where it can be asked. */
  readonly localAddresses?: readonly string[];
  /** What is not compared, one line each. */
  readonly notes: readonly string[];
  close(): void;
}

/**
 * A node by what its programs print.
 *
 * @throws {UsageError} when a text cannot be read, with its name and line.
 */
export async function nodeOfFiles(
  config: Config,
  input: ExplainInput,
  fixedNaming: boolean,
): Promise<NodeToCompare> {
  const { iptablesSave, ipsetSave, ipvsadmSave, nftList } = input;
  if (nftList !== null) return await nodeOfTables(config, nftList);
  const text = await savedRules(iptablesSave!);
  const notes = checkFamilies(config, "--iptables-save", (family) => text[family] !== null);
  const close = () => {};
  if (ipsetSave === null || ipvsadmSave === null) {
    const node = iptablesNode(config, { text, fixedNaming });
    return { mode: "iptables", node, notes, close };
  }
  const sets = await readDump("--ipset-save", ipsetSave, parseSavedSets);
  const servers = await readDump("--ipvsadm-save", ipvsadmSave, parseIpvsSave);
  const kernel = (nodeAddresses: readonly string[]) =>
    new SavedKernel({ servers, sets, nodeAddresses });
  const of = "the addresses of kube-ipvs0 are in no file: those in its sets are compared";
  return { mode: "ipvs", node: ipvsNode(config, { text, kernel }), notes: [...notes, of], close };
}

async function nodeOfTables(config: Config, path: string): Promise<NodeToCompare> {
  const { tables } = await readDump("--nft-list", path, parseRuleset);
  const known = (family: Family) => tables.some((table) => table.family === tableFamily(family));
  const notes = checkFamilies(config, "--nft-list", known);
  const node = nftablesNode(config, {
    families: config.families.filter(known),
    tables: () => Promise.resolve(tables),
  });
  return { mode: "nftables", node, notes, close: () => {} };
}

async function savedRules(path: string): Promise<SavedText> {
  return await readDump("--iptables-save", path, (whole) => {
    const saved = splitFamilies(whole);
    for (const text of Object.values(saved)) if (text !== null) parseSave(text);
    return saved;
  });
}

/** The families that nothing is known of, one line each. */
function checkFamilies(
  { families }: Config,
  flag: string,
  known: (family: Family) => boolean,
): string[] {
  const missing = families.filter((family) => !known(family));
  if (missing.length === families.length) throw new UsageError(`${flag}: there are no rules in it`);
  return missing.map((family) => `without rules of ${family}, these are not compared`);
}

/**
 * This node, in the mode that was asked for or that it shows to be in. Rejects with one line when it
 * cannot be read.
 */
export async function thisNode(config: Config, fixedNaming: boolean): Promise<NodeToCompare> {
  const mode = config.proxyMode ?? modeOfThisNode();
  const rest = { mode, localAddresses: interfaceAddresses() };
  if (mode === "userspace") {
    const node = userspaceNode(config, readUserspace(config));
    return { ...rest, node, notes: [], close: () => {} };
  }
  if (mode === "nftables") {
    const access = NetlinkAccess.open();
    const node = nftablesNode(config, {
      families: config.families,
      tables: (family) => access.readAll(family),
    });
    return { ...rest, node, notes: [], close: () => void access.close() };
  }
  const text = await rulesOfThisNode();
  const notes = checkFamilies(config, "--iptables-save", (family) => text[family] !== null);
  if (mode === "ipvs") {
    const kernel = NetlinkKernel.open();
    const node = ipvsNode(config, { text, kernel: () => kernel });
    return { ...rest, node, notes, close: () => kernel.close() };
  }
  return { ...rest, node: iptablesNode(config, { text, fixedNaming }), notes, close: () => {} };
}

/** The mode of which there is something on this node; iptables, if none of another. */
function modeOfThisNode(): ProxyMode {
  using net = Rtnetlink.open();
  if (net.rules.list().some(isOwnRule)) return "userspace";
  if (hasIpvsLeftovers(new ProgramRunner())) return "ipvs";
  return hasNftablesLeftovers() ? "nftables" : "iptables";
}

function readUserspace({ families }: Config) {
  using net = Rtnetlink.open();
  const served = families.filter((family) =>
    family === "IPv4" || readSysctl("net.ipv6.conf.all.disable_ipv6") === "0"
  );
  return { rules: readRouting(net), foundation: foundationDifferences(net, served) };
}

/** Rejects with one line when this node's rules cannot be read. */
async function rulesOfThisNode(): Promise<SavedText> {
  const runner = new ProgramRunner();
  const access = new NodeRulesAccess(runner, await findPrograms(runner));
  const [IPv4, IPv6] = await Promise.allSettled(
    FAMILIES.map((family) => access.read(family)),
  );
  if (IPv4.status === "rejected" && IPv6.status === "rejected") throw IPv4.reason;
  const textOf = (read: typeof IPv4) => read.status === "fulfilled" ? read.value : null;
  return { IPv4: textOf(IPv4), IPv6: textOf(IPv6) };
}

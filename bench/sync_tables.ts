/**
 * Whose rules the sync benchmark compares: the mode and, in iptables mode, the implementation.
 *
 * @module
 */

import {
  type Backend,
  detectPrograms,
  installedPrograms,
  ProgramRunner,
} from "../src/dataplane/iptables/programs.ts";

/** An implementation of iptables, or nftables mode. */
export type TablesName = Backend | "nftables";

/** What both contenders are told. */
export interface Tables {
  /** As ours is told; begins the name of each row. */
  readonly name: TablesName;
  /** What takes the text of all rules. */
  readonly program: string;
  /** As kube-proxy's is told. */
  readonly flags: readonly string[];
  /** Services beyond which kube-proxy's first sync is left out, as it takes minutes. */
  readonly firstSyncLimit: number;
  /** Services beyond which all rules are not rewritten. */
  readonly rewriteLimit: number;
}

/**
 * To iptables-nft-restore all chains of one transaction are a list to search, and nft and the kernel
 * take minutes for a table that takes another one's place.
 */
const WHOLE_LIMIT_NFT = 2000;

/** iptables mode's; without a backend, what this node uses. */
export async function iptablesTables(backend: Backend | undefined): Promise<Tables> {
  const runner = new ProgramRunner();
  const programs = backend === undefined
    ? await detectPrograms(runner)
    : (await installedPrograms(runner)).find((programs) => programs.backend === backend);
  if (programs === undefined) throw new Error(`iptables with ${backend} is not installed`);
  const limit = programs.backend === "nft" ? WHOLE_LIMIT_NFT : Infinity;
  return {
    name: programs.backend,
    program: "iptables-restore",
    flags: [`-suffix=${programs.suffix}`],
    firstSyncLimit: limit,
    rewriteLimit: limit,
  };
}

/** nftables mode's. */
export const NFTABLES: Tables = {
  name: "nftables",
  program: "nft -f",
  flags: ["-mode=nftables"],
  firstSyncLimit: Infinity,
  rewriteLimit: WHOLE_LIMIT_NFT,
};

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
  /**
   * Services beyond which kube-proxy's first sync and the rewriting of all rules are left out, as they
   * take minutes.
   */
  readonly wholeLimit: number;
}

/** To iptables-nft-restore all chains of one transaction are a list to search. */
const WHOLE_LIMIT_NFT = 2000;

/** iptables mode's; without a backend, what this node uses. */
export async function iptablesTables(backend: Backend | undefined): Promise<Tables> {
  const runner = new ProgramRunner();
  const programs = backend === undefined
    ? await detectPrograms(runner)
    : (await installedPrograms(runner)).find((programs) => programs.backend === backend);
  if (programs === undefined) throw new Error(`iptables with ${backend} is not installed`);
  return {
    name: programs.backend,
    program: "iptables-restore",
    flags: [`-suffix=${programs.suffix}`],
    wholeLimit: programs.backend === "nft" ? WHOLE_LIMIT_NFT : Infinity,
  };
}

/** nftables mode's. */
export const NFTABLES: Tables = {
  name: "nftables",
  program: "nft -f",
  flags: ["-mode=nftables"],
  wholeLimit: Infinity,
};

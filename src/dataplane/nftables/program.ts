/**
 * The program nft of a node, and whether it and the kernel are new enough.
 *
 * @module
 */

import { atLeast, type Execution, type ProgramRunner } from "../iptables/programs.ts";

/**
 * As kube-proxy: programs before this one read the rules of everyone, and may choke on those that
 * they don't know, whatever table is asked for.
 */
const OLDEST_NFT = [1, 0, 1];

/**
 * As kube-proxy: where the kernel is older, the node's own nft may be too, which rules of a newer
 * one make useless.
 */
const OLDEST_KERNEL = [5, 13];

/** Kernels from this one on take a chain away together with the map's element that leads to it. */
const REMOVING_KERNEL = [6, 2];

/** kube-proxy's: when it is set to anything, older kernels are tried too. */
export const SKIP_KERNEL_CHECK = "KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK";

/** The version of nft, as in [1, 0, 6]. Throws an Error of one line when it cannot be used. */
export async function findNft(runner: ProgramRunner): Promise<readonly number[]> {
  let output: Execution;
  try {
    output = await runner.run("nft", ["--version"]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error("nft is not installed");
    throw error;
  }
  const [, text] = /\bv(\d+(?:\.\d+)*)/.exec(output.stdout) ?? [];
  if (text === undefined) {
    throw new Error(`nft --version printed ${JSON.stringify(output.stdout.trim())}`);
  }
  const version = text.split(".").map(Number);
  if (!atLeast(version, OLDEST_NFT)) {
    throw new Error(`nft is of version ${text}; expected ${OLDEST_NFT.join(".")} or later`);
  }
  return version;
}

/** Throws an Error of one line for a kernel release ("6.1.0-13-amd64") that is too old. */
export function checkKernel(release: string): void {
  if (atLeast(kernelVersion(release), OLDEST_KERNEL)) return;
  throw new Error(
    `the kernel is ${release}; nftables mode expects ${OLDEST_KERNEL.join(".")} or later, ` +
      `or ${SKIP_KERNEL_CHECK} to be set`,
  );
}

/** Whether the kernel takes a chain away together with what leads to it. */
export function removesChains(release: string): boolean {
  return atLeast(kernelVersion(release), REMOVING_KERNEL);
}

function kernelVersion(release: string): number[] {
  const [, text] = /^(\d+(?:\.\d+)*)/.exec(release) ?? [];
  return text === undefined ? [] : text.split(".").map(Number);
}

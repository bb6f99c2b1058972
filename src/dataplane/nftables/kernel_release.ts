/**
 * What the kernel's release says about its nf_tables.
 *
 * @module
 */

import { atLeast } from "../iptables/programs.ts";

/** As kube-proxy: older ones lack parts of what the rules need. */
const OLDEST_KERNEL = [5, 13];

/** Kernels from this one on take a chain away together with the map's element that leads to it. */
const REMOVING_KERNEL = [6, 2];

/** kube-proxy's: when it is set to anything, older kernels are tried too. */
export const SKIP_KERNEL_CHECK = "KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK";

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

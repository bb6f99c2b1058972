import assert from "node:assert/strict";
import { checkKernel, removesChains } from "../../../src/dataplane/nftables/kernel_release.ts";

Deno.test("kernels are taken from 5.13 on", () => {
  for (const release of ["5.13", "5.13.0-19-generic", "5.15.0", "6.1.0-13-amd64", "6.18.44-x"]) {
    checkKernel(release);
  }
  for (const release of ["5.12.19", "4.18.0-305.el8.x86_64", "unknown"]) {
    assert.throws(() => checkKernel(release), {
      message: `the kernel is ${release}; nftables mode expects 5.13 or later, ` +
        "or KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK to be set",
    });
  }
});

Deno.test("kernels from 6.2 on take away a chain together with what leads to it", () => {
  assert.ok(removesChains("6.2.0"));
  assert.ok(removesChains("6.18.44-fc"));
  assert.ok(!removesChains("6.1.99"));
  assert.ok(!removesChains("5.15.0-91-generic"));
});

import assert from "node:assert/strict";
import { type Execution, ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import { checkKernel, findNft, removesChains } from "../../../src/dataplane/nftables/program.ts";

/** Has programs print this; null: there are none. */
class FixedRunner extends ProgramRunner {
  readonly #stdout: string | null;

  constructor(stdout: string | null) {
    super();
    this.#stdout = stdout;
  }

  override run(program: string): Promise<Execution> {
    return this.#stdout === null
      ? Promise.reject(new Deno.errors.NotFound(`${program} is not installed`))
      : Promise.resolve({ code: 0, signal: null, stdout: this.#stdout, stderr: "" });
  }
}

Deno.test("nft is taken from version 1.0.1 on, and told why where it is not", async () => {
  const find = (stdout: string | null) => findNft(new FixedRunner(stdout));
  assert.deepEqual(await find("nftables v1.0.6 (Lester Gooch #5)\n"), [1, 0, 6]);
  assert.deepEqual(await find("nftables v1.0.1 (Fearless Fosdick #3)\n"), [1, 0, 1]);
  assert.deepEqual(await find("nftables v1.1 (Commodore Bullmoose)\n"), [1, 1]);
  await assert.rejects(
    find("nftables v0.9.8 (E.D.S.)\n"),
    /^Error: nft is of version 0\.9\.8; expected 1\.0\.1 or later$/,
  );
  await assert.rejects(find("usage\n"), /^Error: nft --version printed "usage"$/);
  await assert.rejects(find(null), /^Error: nft is not installed$/);
});

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

/**
 * The nft program in a namespace of a test.
 *
 * @module
 */

import { NetworkNamespace } from "../../../../src/linux/namespace.ts";
import { Nftables } from "../../../../src/netlink/netfilter/nftables/nftables.ts";

/** A namespace with nf_tables of its own. */
export class NftNamespace {
  readonly #namespace = NetworkNamespace.create();
  readonly nftables = this.#namespace.run(() => Nftables.open());

  /** What a function returns that is called in the namespace. */
  run<T>(fn: () => T): T {
    return this.#namespace.run(fn);
  }

  /** What `nft` prints; throws what it complains about. */
  nft(...args: string[]): string {
    return this.run(() => {
      const { success, stdout, stderr } = new Deno.Command("nft", { args }).outputSync();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    });
  }

  /** Has nft carry out a text. */
  load(text: string): void {
    const file = Deno.makeTempFileSync();
    try {
      Deno.writeTextFileSync(file, text);
      this.nft("-f", file);
    } finally {
      Deno.removeSync(file);
    }
  }

  [Symbol.dispose](): void {
    this.nftables.close();
    this.#namespace.close();
  }
}

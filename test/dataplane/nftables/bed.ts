/** Nodes of their own for nftables mode, each in a network namespace. */

import assert from "node:assert/strict";
import type { NftablesAccess } from "../../../src/dataplane/nftables/access.ts";
import {
  NftablesDataPlane,
  type NftablesOptions,
} from "../../../src/dataplane/nftables/dataplane.ts";
import type { FamilySync } from "../../../src/dataplane/nftables/family.ts";
import { NetlinkAccess } from "../../../src/dataplane/nftables/kernel/netlink_access.ts";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { FAMILIES } from "../../../src/net/address.ts";
import { requires } from "../../requirements.ts";
import { testPlanner } from "../iptables/plans.ts";
import { NetfilterBed } from "../netfilter_bed.ts";
import { NftAccess } from "./nft_access.ts";
import { sortedTable } from "./tables.ts";

/** A node whose tables are read and changed in one of two ways. */
export class Bed extends NetfilterBed<NftablesDataPlane, FamilySync> {
  /** What looks at tables here. */
  readonly access = new NftAccess(this.runner);

  constructor(readonly by: "netlink" | "nft") {
    super(testPlanner({ nodePortAddresses: ["primary"] }));
  }

  /** What a data plane uses. */
  open(): NftablesAccess {
    return this.by === "nft"
      ? new NftAccess(this.runner)
      : this.namespace.run(() => NetlinkAccess.open());
  }

  async start(options: Partial<NftablesOptions> = {}): Promise<NftablesDataPlane> {
    const plane = await NftablesDataPlane.start({
      ...this.options(),
      access: unheeding(this.open()),
      watchPeriodMs: 0,
      confirmationMs: 0,
      ...options,
    });
    this.planes.push(plane);
    return plane;
  }

  /** Both tables. */
  async tables(): Promise<(Table | null)[]> {
    const tables = await Promise.all(FAMILIES.map((family) => this.access.read(family)));
    return tables.map((table) => table === null ? null : sortedTable(table));
  }

  async nft(text: string): Promise<void> {
    const { code, stderr } = await this.runner.run("nft", ["-f", "-"], `${text}\n`);
    assert.equal(code, 0, stderr);
  }

  async run(program: string, ...args: string[]): Promise<void> {
    const { code, stderr } = await this.runner.run(program, args);
    assert.equal(code, 0, stderr);
  }

  async listed(): Promise<string> {
    return (await this.runner.run("nft", ["list", "ruleset"])).stdout;
  }
}

/** The same, but told of no changes: they are found when they are looked for. */
function unheeding(access: NftablesAccess): NftablesAccess {
  return {
    apply: (transaction) => access.apply(transaction),
    read: (family) => access.read(family),
    readAll: (family) => access.readAll(family),
    readChain: (family, name) => access.readChain(family, name),
    watch: () => Promise.resolve(),
    close: () => access.close(),
  };
}

type Way = Bed["by"];

/** Registers a test for each way of reading and changing tables. */
export function accessTest(
  name: string,
  fn: (bed: Bed) => Promise<void>,
  ways: readonly Way[] = ["netlink", "nft"],
): void {
  for (const by of ways) {
    Deno.test({
      ...requires(`nftables (${by}): ${name}`, "root", "netns", "nft", "ip", "bash"),
      async fn() {
        await using bed = new Bed(by);
        await fn(bed);
      },
    });
  }
}

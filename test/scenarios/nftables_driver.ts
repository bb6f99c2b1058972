/**
 * nftables mode as a data plane: a table beside its own tells what its rules refuse.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { NftablesDataPlane } from "../../src/dataplane/nftables/dataplane.ts";
import { TABLE, tableFamily } from "../../src/dataplane/nftables/names.ts";
import { tableOf } from "../../src/dataplane/nftables/rules.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import { writeSysctl } from "../../src/linux/sysctl.ts";
import type { Family } from "../../src/net/address.ts";
import type { Refusals } from "./answers.ts";
import { NetfilterDriver, type NetfilterNode } from "./netfilter_driver.ts";

/** Runs scenarios in nftables mode. */
export function nftablesDriver(): NetfilterDriver {
  return new NetfilterDriver("nftables", async (runner, namespaceFd, configuration) => {
    const { families, nodePortAddresses } = configuration;
    await addWatch(runner);
    const dataPlane = await NftablesDataPlane.start({
      engine: LocalEngine.create(),
      families,
      rules: { nodePortAddresses },
      namespaceFd,
      watchPeriodMs: 0,
      confirmationMs: 0,
    });
    return new NftablesNode(dataPlane, runner);
  });
}

class NftablesNode implements NetfilterNode {
  readonly dataPlane: NftablesDataPlane;
  readonly #runner: ProgramRunner;

  constructor(dataPlane: NftablesDataPlane, runner: ProgramRunner) {
    this.dataPlane = dataPlane;
    this.#runner = runner;
  }

  async watchRefusals(): Promise<() => Promise<Refusals>> {
    const before = await readWatch(this.#runner);
    return async () => refusedSince(before, await readWatch(this.#runner));
  }

  remembersClients(family: Family): boolean {
    return this.#clientSets(family).length > 0;
  }

  async forgetClients(family: Family): Promise<void> {
    const lines = this.#clientSets(family)
      .map((name) => `flush set ${tableFamily(family)} ${TABLE} ${name}\n`);
    if (lines.length > 0) await nft(this.#runner, lines.join(""));
  }

  /** Names of the sets in which endpoints remember clients. */
  #clientSets(family: Family): string[] {
    const { sets } = tableOf(this.dataPlane.rules(family)!);
    return sets.filter(({ flags }) => flags.includes("dynamic")).map(({ name }) => name);
  }
}

/** Places where rules may refuse: the hook, and the priority of kube-proxy's chain. */
const PLACES: readonly [hook: string, priority: number][] = [
  ["prerouting", -110],
  ["output", -110],
  ["input", 0],
  ["forward", 0],
  ["output", 0],
];

/** Packets that were seen, by counter. */
type Counts = ReadonlyMap<string, bigint>;

/**
 * Adds what sees the packets that rules refuse, as rules of nftables mode count nothing: a table
 * that counts new connections' packets in front of them and behind them, and the errors that the
 * node sends.
 */
async function addWatch(runner: ProgramRunner): Promise<void> {
  const chains = PLACES.flatMap(([hook, priority]) =>
    [-1, 1].map((side) => {
      const name = counterName(hook, priority, side);
      return `counter ${name} {}\nchain ${name} { type filter hook ${hook} ` +
        `priority ${priority + side}; ct state new counter name ${name}; }`;
    })
  );
  const errors = "chain errors { type filter hook output priority 10; " +
    "icmp code port-unreachable counter name errors; " +
    "icmpv6 code port-unreachable counter name errors; }";
  await nft(
    runner,
    ["table inet watch {", ...chains, "counter errors {}", errors, "}\n"].join("\n"),
  );
  // Every refusal is to be seen.
  for (const limit of ["net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"]) {
    runner.inside(() => writeSysctl(limit, 0));
  }
}

async function readWatch(runner: ProgramRunner): Promise<Counts> {
  const { stdout, code, stderr } = await runner.run("nft", ["list", "counters"]);
  assert.equal(code, 0, stderr);
  const counters = stdout.matchAll(/counter (\S+) \{\s+packets (\d+)/g);
  return new Map([...counters].map(([, name, packets]) => [name, BigInt(packets)]));
}

/** A refused packet is a rejected one when the node sent an error for it. */
function refusedSince(before: Counts, after: Counts): Refusals {
  const packets = refused(after) - refused(before);
  const errors = after.get("errors")! - before.get("errors")!;
  if (packets === 0n || errors === 0n) return { REJECT: 0n, DROP: packets };
  assert.equal(errors, packets, "errors, and packets refused");
  return { REJECT: packets, DROP: 0n };
}

function counterName(hook: string, priority: number, side: number): string {
  return `${hook}_${priority === 0 ? "filter" : "firewall"}_${side < 0 ? "before" : "after"}`;
}

/** Packets that came to a place of refusals and did not come through. */
function refused(counts: Counts): bigint {
  return PLACES.reduce((sum, [hook, priority]) => {
    const [before, after] = [-1, 1].map((side) => counts.get(counterName(hook, priority, side))!);
    return sum + before - after;
  }, 0n);
}

async function nft(runner: ProgramRunner, text: string): Promise<void> {
  const { code, stderr } = await runner.run("nft", ["-f", "-"], text);
  assert.equal(code, 0, stderr);
}

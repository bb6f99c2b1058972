/**
 * nftables mode as a data plane: real packets in a lab, and nothing but what becomes of them.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { NftablesDataPlane } from "../../src/dataplane/nftables/dataplane.ts";
import { TABLE, tableFamily } from "../../src/dataplane/nftables/names.ts";
import { tableOf } from "../../src/dataplane/nftables/rules.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import type { Outcome } from "../../src/lab/probe.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { writeSysctl } from "../../src/linux/sysctl.ts";
import { type Family, familyOf } from "../../src/net/address.ts";
import { Planner } from "../../src/plan/planner.ts";
import { type Answered, answeredBy, clientOf, nameOf, type Way } from "./answers.ts";
import { type Configuration, plannerConfig } from "./format.ts";
import { LabNetwork } from "./lab_network.ts";
import type { FlowOutcome, ScenarioDriver } from "./runner.ts";

/** Connections by which shares are measured: a share of a half deviates by 0.05. */
const SAMPLE = 96;
/** Connections that see whether there is more than one backend: one of two is missed once in 2^39. */
const ENOUGH = 40;
const CONCURRENCY = 8;
/** An answer takes less, milliseconds; whether silence was a rule's doing, the watch says. */
const SILENCE_MS = 150;
/** How long silence that no rule made must last, milliseconds. */
const LONG_SILENCE_MS = 3000;

/** Sends real connections from where a flow begins and sees who answers, and to whom. */
export class NftablesDriver implements ScenarioDriver {
  readonly name = "nftables";
  readonly kind = "lab";
  /** Six standard deviations of a share of a half. */
  readonly tolerance = 0.32;
  #planner: Planner | null = null;
  #network: LabNetwork | null = null;
  #runner: ProgramRunner | null = null;
  #dataPlane: NftablesDataPlane | null = null;
  #watch: RefusalWatch | null = null;

  async start(configuration: Configuration): Promise<void> {
    const { families, nodePortAddresses } = configuration;
    this.#planner = new Planner(plannerConfig(configuration));
    this.#network = await LabNetwork.start(configuration);
    const { nodeNamespaceFd } = this.#network;
    this.#runner = new ProgramRunner(NetworkNamespace.fromFd(nodeNamespaceFd));
    this.#watch = await RefusalWatch.start(this.#runner);
    this.#dataPlane = await NftablesDataPlane.start({
      engine: LocalEngine.create(),
      families,
      rules: { nodePortAddresses },
      namespaceFd: nodeNamespaceFd,
      watchPeriodMs: 0,
      confirmationMs: 0,
    });
  }

  async step(changes: readonly ClusterChange[]): Promise<void> {
    await this.#network!.apply(changes);
    const change = this.#planner!.update(changes);
    await this.#dataPlane!.sync(this.#planner!.plan, change);
  }

  async flow(way: Way): Promise<FlowOutcome> {
    const family = familyOf(way.to.address);
    await this.#forgetClients(family);
    const watch = this.#watch!;
    const before = await watch.count();
    let [first] = await this.#network!.probe(way, { path: "/info", timeoutMs: SILENCE_MS });
    if (first.kind === "timeout" && await watch.isSilent(before)) {
      [first] = await this.#network!.probe(way, { path: "/info", timeoutMs: LONG_SILENCE_MS });
    }
    if (first.kind !== "answer") {
      const refused = await watch.verdict(
        first,
        before,
        async () => (await this.#network!.probe(way, {}))[0],
      );
      return { verdict: refused ?? "PASS", backends: [], sticky: null };
    }
    const answered = this.#answered(way, first);
    const { address, port } = way.to;
    // Whoever has the address itself.
    if (answered.address === address && answered.port === port) {
      return { verdict: "PASS", backends: [], sticky: null };
    }
    return await this.#forwarded(way, family);
  }

  async stop(): Promise<void> {
    await this.#dataPlane?.stop();
    await this.#network?.stop();
    this.#planner =
      this.#network =
      this.#runner =
      this.#dataPlane =
      this.#watch =
        null;
  }

  /** Asks often enough to see all backends. Clients that stay with one are forgotten in between. */
  async #forwarded(way: Way, family: Family): Promise<FlowOutcome> {
    let answers = await this.#ask(way, ENOUGH);
    let sticky = false;
    if (new Set(answers.map(nameOf)).size > 1) {
      answers = [...answers, ...await this.#ask(way, SAMPLE - ENOUGH)];
    } else if (this.#clientSets(family).length > 0) {
      const renewed: Answered[] = [];
      for (let i = 0; i < SAMPLE; i++) {
        await this.#forgetClients(family);
        renewed.push(...await this.#ask(way, 1));
        // One backend is always the same, whether clients are remembered or not.
        if (i === ENOUGH && new Set(renewed.map(nameOf)).size === 1) break;
      }
      sticky = new Set(renewed.map(nameOf)).size > 1;
      answers = renewed;
    }
    const byName = Map.groupBy(answers, nameOf);
    return {
      verdict: "FORWARD",
      sticky: byName.size > 1 ? sticky : null,
      backends: [...byName.values()].map((own) => ({
        address: own[0].address,
        port: own[0].port,
        probability: own.length / answers.length,
        masquerade: this.#masquerade(way, own),
      })),
    };
  }

  async #ask(way: Way, count: number): Promise<Answered[]> {
    const options = { path: "/info", count, concurrency: CONCURRENCY };
    return (await this.#network!.probe(way, options)).map((each) => this.#answered(way, each));
  }

  #answered(way: Way, outcome: Outcome): Answered {
    assert.equal(outcome.kind, "answer", JSON.stringify(outcome));
    const { pod } = outcome as Extract<Outcome, { kind: "answer" }>;
    return answeredBy(this.#network!, way, pod);
  }

  /** Null when it cannot be told: what the node itself sends has its address before and after. */
  #masquerade({ from }: Way, answers: readonly Answered[]): boolean | null {
    const client = clientOf(answers);
    return client === null || this.#network!.isNode(from) ? null : client !== from;
  }

  /** Names of the sets in which endpoints remember clients for session affinity. */
  #clientSets(family: Family): string[] {
    const { sets } = tableOf(this.#dataPlane!.rules(family)!);
    return sets.filter(({ flags }) => flags.includes("dynamic")).map(({ name }) => name);
  }

  /** Empties them. */
  async #forgetClients(family: Family): Promise<void> {
    const lines = this.#clientSets(family)
      .map((name) => `flush set ${tableFamily(family)} ${TABLE} ${name}\n`);
    if (lines.length > 0) await nft(this.#runner!, lines.join(""));
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
type Counts = ReadonlyMap<string, number>;

/**
 * Sees what rules refuse, as rules of nftables mode count nothing: a table of its own counts new
 * connections' packets in front of them and behind them, and the errors that the node sends.
 */
class RefusalWatch {
  readonly #runner: ProgramRunner;

  private constructor(runner: ProgramRunner) {
    this.#runner = runner;
  }

  static async start(runner: ProgramRunner): Promise<RefusalWatch> {
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
    const text = ["table inet watch {", ...chains, "counter errors {}", errors, "}\n"].join("\n");
    await nft(runner, text);
    // Every refusal is to be seen.
    for (const limit of ["net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"]) {
      runner.inside(() => writeSysctl(limit, 0));
    }
    return new RefusalWatch(runner);
  }

  async count(): Promise<Counts> {
    const { stdout, code, stderr } = await this.#runner.run("nft", ["list", "counters"]);
    assert.equal(code, 0, stderr);
    const counters = stdout.matchAll(/counter (\S+) \{\s+packets (\d+)/g);
    return new Map([...counters].map(([, name, packets]) => [name, Number(packets)]));
  }

  /** Whether nothing was refused since. */
  async isSilent(before: Counts): Promise<boolean> {
    return refused(await this.count()) === refused(before);
  }

  /**
   * What rules did since, by the counters and to the client's eyes; null: they refused nothing. A
   * client whose patience was short may have missed that it was refused, and is asked `again`.
   */
  async verdict(
    outcome: Outcome,
    before: Counts,
    again: () => Promise<Outcome>,
  ): Promise<"REJECT" | "DROP" | null> {
    const after = await this.count();
    const errors = after.get("errors")! - before.get("errors")!;
    const packets = refused(after) - refused(before);
    if (packets === 0) return null;
    assert.ok(errors === 0 || errors === packets, `${packets} refused, ${errors} errors`);
    if (errors > 0) {
      const { kind } = outcome.kind === "timeout" ? await again() : outcome;
      assert.equal(kind, "refused");
      return "REJECT";
    }
    assert.equal(outcome.kind, "timeout");
    return "DROP";
  }
}

function counterName(hook: string, priority: number, side: number): string {
  return `${hook}_${priority === 0 ? "filter" : "firewall"}_${side < 0 ? "before" : "after"}`;
}

/** Packets that came to a place of refusals and did not come through. */
function refused(counts: Counts): number {
  return PLACES.reduce((sum, [hook, priority]) => {
    const [before, after] = [-1, 1].map((side) => counts.get(counterName(hook, priority, side))!);
    return sum + before - after;
  }, 0);
}

async function nft(runner: ProgramRunner, text: string): Promise<void> {
  const { code, stderr } = await runner.run("nft", ["-f", "-"], text);
  assert.equal(code, 0, stderr);
}

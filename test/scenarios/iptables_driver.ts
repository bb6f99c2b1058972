/**
 * iptables mode as a data plane: real packets in a lab, and nothing but what becomes of them.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { IptablesDataPlane } from "../../src/dataplane/iptables/dataplane.ts";
import { type Backend, ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { DEFAULT_RULE_OPTIONS } from "../../src/dataplane/iptables/options.ts";
import { parseSave } from "../../src/dataplane/iptables/save_text.ts";
import { restoreText } from "../../src/dataplane/iptables/text.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import type { Outcome } from "../../src/lab/probe.ts";
import { close, O_WRONLY, open, write } from "../../src/linux/libc.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { type Family, familyOf } from "../../src/net/address.ts";
import { Planner } from "../../src/plan/planner.ts";
import {
  type Answered,
  answeredBy,
  clientOf,
  nameOf,
  type Refusals,
  verdictOf,
  type Way,
} from "./answers.ts";
import { type Configuration, plannerConfig } from "./format.ts";
import { LabNetwork } from "./lab_network.ts";
import type { FlowOutcome, ScenarioDriver } from "./runner.ts";

/** Connections by which shares are measured: a share of a half deviates by 0.05. */
const SAMPLE = 96;
/** Connections that see whether there is more than one backend: one of two is missed once in 2^39. */
const ENOUGH = 40;
const CONCURRENCY = 8;
/** An answer takes less, milliseconds; whether silence was a rule's doing, its counter says. */
const SILENCE_MS = 150;
/** How long silence that no rule made must last, milliseconds. */
const LONG_SILENCE_MS = 3000;

/** Sends real connections from where a flow begins and sees who answers, and to whom. */
export class IptablesDriver implements ScenarioDriver {
  readonly name = "iptables";
  readonly kind = "lab";
  /** Six standard deviations of a share of a half. */
  readonly tolerance = 0.32;
  readonly #backend: Backend;
  #planner: Planner | null = null;
  #network: LabNetwork | null = null;
  #runner: ProgramRunner | null = null;
  #dataPlane: IptablesDataPlane | null = null;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async start(configuration: Configuration): Promise<void> {
    const { families, nodePortAddresses } = configuration;
    this.#planner = new Planner(plannerConfig(configuration));
    this.#network = await LabNetwork.start(configuration);
    const { nodeNamespaceFd } = this.#network;
    this.#runner = new ProgramRunner(NetworkNamespace.fromFd(nodeNamespaceFd));
    this.#dataPlane = await IptablesDataPlane.start({
      engine: LocalEngine.create(),
      families,
      rules: { ...DEFAULT_RULE_OPTIONS, nodePortAddresses },
      namespaceFd: nodeNamespaceFd,
      backend: this.#backend,
      canaryPeriodMs: 0,
    });
  }

  async step(changes: readonly ClusterChange[]): Promise<void> {
    await this.#network!.apply(changes);
    const change = this.#planner!.update(changes);
    await this.#dataPlane!.sync(this.#planner!.plan, change);
  }

  async flow(way: Way): Promise<FlowOutcome> {
    const family = familyOf(way.to.address);
    this.#forgetClients(family);
    const before = await this.#refusals(family);
    let [first] = await this.#network!.probe(way, { path: "/info", timeoutMs: SILENCE_MS });
    if (first.kind !== "answer") {
      const refused = await verdictOf(
        first,
        before,
        await this.#refusals(family),
        async () => (await this.#network!.probe(way, {}))[0],
      );
      if (refused !== null) return { verdict: refused, backends: [], sticky: null };
    }
    if (first.kind === "timeout") {
      [first] = await this.#network!.probe(way, { path: "/info", timeoutMs: LONG_SILENCE_MS });
    }
    if (first.kind !== "answer") return { verdict: "PASS", backends: [], sticky: null };
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
        null;
  }

  /** Asks often enough to see all backends. Clients that stay with one are forgotten in between. */
  async #forwarded(way: Way, family: Family): Promise<FlowOutcome> {
    let answers = await this.#ask(way, ENOUGH);
    let sticky = false;
    if (new Set(answers.map(nameOf)).size > 1) {
      answers = [...answers, ...await this.#ask(way, SAMPLE - ENOUGH)];
    } else if (this.#clientLists(family).size > 0) {
      const renewed: Answered[] = [];
      for (let i = 0; i < SAMPLE; i++) {
        this.#forgetClients(family);
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

  /** Packets that rules of ours have refused so far. */
  async #refusals(family: Family): Promise<Refusals> {
    const program = `${family === "IPv4" ? "iptables" : "ip6tables"}-${this.#backend}-save`;
    const { stdout } = await this.#runner!.run(program, ["-c", "-t", "filter"]);
    const counts = { REJECT: 0n, DROP: 0n };
    for (const { chain, tokens, counters } of parseSave(stdout).flatMap(({ rules }) => rules)) {
      // KUBE-FORWARD drops what conntrack cannot place, whatever the flow.
      if (!chain.startsWith("KUBE-") || chain === "KUBE-FORWARD") continue;
      const target = tokens[tokens.indexOf("-j") + 1];
      if (target === "REJECT" || target === "DROP") counts[target] += counters!.packets;
    }
    return counts;
  }

  /** Names of the lists in which xt_recent remembers clients for session affinity. */
  #clientLists(family: Family): Set<string> {
    const text = restoreText(this.#dataPlane!.rules(family)!);
    return new Set([...text.matchAll(/ -m recent --name (\S+)/g)].map(([, name]) => name));
  }

  /** Empties them. */
  #forgetClients(family: Family): void {
    const names = this.#clientLists(family);
    const clear = new TextEncoder().encode("/");
    this.#runner!.inside(() => {
      for (const name of names) {
        const fd = open(`/proc/thread-self/net/xt_recent/${name}`, O_WRONLY);
        const written = write(fd, clear, clear.length);
        close(fd);
        assert.equal(written, clear.length);
      }
    });
  }
}

/**
 * The modes whose rules netfilter follows, as data planes: real packets in a lab, and nothing but
 * what becomes of them. The rules choose among backends at random.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClusterChange } from "../../src/cluster/source.ts";
import type { DataPlane } from "../../src/dataplane/dataplane.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import type { Outcome, ProbeOptions } from "../../src/lab/probe.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { type Family, familyOf } from "../../src/net/address.ts";
import { Planner } from "../../src/plan/planner.ts";
import {
  type Answered,
  answeredBy,
  clientOf,
  forwardedTo,
  isDialled,
  nameOf,
  notForwarded,
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
/** An answer takes less, milliseconds; whether silence was a rule's doing, its counters say. */
const SILENCE_MS = 150;
/** How long silence that no rule made must last, milliseconds. */
const LONG_SILENCE_MS = 3000;

/** The node of a lab in one of the modes. */
export interface NetfilterNode {
  readonly dataPlane: DataPlane;
  /** Begins to count what rules refuse; the result tells what it was since. */
  watchRefusals(family: Family): Promise<() => Promise<Refusals>>;
  /** Whether rules remember clients, for session affinity. */
  remembersClients(family: Family): boolean;
  /** Has rules forget the clients that they remember. */
  forgetClients(family: Family): Promise<void>;
}

/** Brings a node into its mode, whose programs `runner` runs. */
export type StartNode = (
  runner: ProgramRunner,
  namespaceFd: number,
  configuration: Configuration,
) => Promise<NetfilterNode>;

/** Sends real connections from where a flow begins and sees who answers, and to whom. */
export class NetfilterDriver implements ScenarioDriver {
  readonly name: string;
  readonly kind = "lab";
  /** Six standard deviations of a share of a half. */
  readonly tolerance = 0.32;
  readonly #startNode: StartNode;
  #planner: Planner | null = null;
  #network: LabNetwork | null = null;
  #node: NetfilterNode | null = null;

  constructor(name: string, startNode: StartNode) {
    this.name = name;
    this.#startNode = startNode;
  }

  async start(configuration: Configuration): Promise<void> {
    this.#planner = new Planner(plannerConfig(configuration));
    this.#network = await LabNetwork.start(configuration);
    const { nodeNamespaceFd } = this.#network;
    const runner = new ProgramRunner(NetworkNamespace.fromFd(nodeNamespaceFd));
    this.#node = await this.#startNode(runner, nodeNamespaceFd, configuration);
  }

  async step(changes: readonly ClusterChange[]): Promise<void> {
    await this.#network!.apply(changes);
    const change = this.#planner!.update(changes);
    await this.#node!.dataPlane.sync(this.#planner!.plan, change);
  }

  async flow(way: Way): Promise<FlowOutcome> {
    const family = familyOf(way.to.address);
    await this.#node!.forgetClients(family);
    const refusals = await this.#node!.watchRefusals(family);
    let first = await this.#first(way, { path: "/info", timeoutMs: SILENCE_MS });
    if (first.kind === "timeout" && isNone(await refusals())) {
      first = await this.#first(way, { path: "/info", timeoutMs: LONG_SILENCE_MS });
    }
    if (first.kind !== "answer") {
      const refused = await verdictOf(first, await refusals(), () => this.#first(way, {}));
      return notForwarded(refused ?? "PASS");
    }
    if (isDialled(way, this.#answered(way, first))) return notForwarded("PASS");
    return await this.#forwarded(way, family);
  }

  async stop(): Promise<void> {
    await this.#node?.dataPlane.stop();
    await this.#network?.stop();
    this.#planner = this.#network = this.#node = null;
  }

  /** Asks often enough to see all backends. Clients that stay with one are forgotten in between. */
  async #forwarded(way: Way, family: Family): Promise<FlowOutcome> {
    let answers = await this.#ask(way, ENOUGH);
    let sticky = false;
    if (new Set(answers.map(nameOf)).size > 1) {
      answers = [...answers, ...await this.#ask(way, SAMPLE - ENOUGH)];
    } else if (this.#node!.remembersClients(family)) {
      const renewed: Answered[] = [];
      for (let i = 0; i < SAMPLE; i++) {
        await this.#node!.forgetClients(family);
        renewed.push(...await this.#ask(way, 1));
        // One backend is always the same, whether clients are remembered or not.
        if (i === ENOUGH && new Set(renewed.map(nameOf)).size === 1) break;
      }
      sticky = new Set(renewed.map(nameOf)).size > 1;
      answers = renewed;
    }
    return forwardedTo(answers, sticky, (own) => this.#masquerade(way, own));
  }

  async #first(way: Way, options: ProbeOptions): Promise<Outcome> {
    return (await this.#network!.probe(way, options))[0];
  }

  async #ask(way: Way, count: number): Promise<Answered[]> {
    const options = { path: "/info", count, concurrency: CONCURRENCY };
    return (await this.#network!.probe(way, options)).map((each) => this.#answered(way, each));
  }

  #answered(way: Way, outcome: Outcome): Answered {
    assert.ok(outcome.kind === "answer", JSON.stringify(outcome));
    return answeredBy(this.#network!, way, outcome.pod);
  }

  /** Null when it cannot be told: what the node itself sends has its address before and after. */
  #masquerade({ from }: Way, answers: readonly Answered[]): boolean | null {
    const client = clientOf(answers);
    return client === null || this.#network!.isNode(from) ? null : client !== from;
  }
}

function isNone({ REJECT, DROP }: Refusals): boolean {
  return REJECT === 0n && DROP === 0n;
}

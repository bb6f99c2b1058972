/**
 * ipvs mode as a data plane: real packets in a lab, and nothing but what becomes of them.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClusterChange } from "../../src/cluster/source.ts";
import type { IpvsDataPlane } from "../../src/dataplane/ipvs/dataplane.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../src/dataplane/ipvs/options.ts";
import type { Outcome } from "../../src/lab/probe.ts";
import { type Family, familyOf } from "../../src/net/address.ts";
import { Ipvs } from "../../src/netlink/generic/ipvs.ts";
import { decide } from "../../src/plan/decide.ts";
import { FrontendIndex } from "../../src/plan/frontend_index.ts";
import { Planner } from "../../src/plan/planner.ts";
import { startPlane } from "../integration/vm/ipvs_plane.ts";
import { countedRules } from "../integration/vm/legacy_counters.ts";
import {
  type Answered,
  answeredBy,
  clientOf,
  forwardedTo,
  isDialled,
  nameOf,
  notForwarded,
  type Refusals,
  refusedSince,
  verdictOf,
  type Way,
} from "./answers.ts";
import { type Configuration, plannerConfig } from "./format.ts";
import { LabNetwork } from "./lab_network.ts";
import type { FlowOutcome, ScenarioDriver } from "./runner.ts";
import { until } from "../until.ts";

/** Connections per backend: with round robin, each must get exactly as many. */
const ROUNDS = 3;
const CONCURRENCY = 4;
/** An answer takes less, milliseconds; whether silence was a rule's doing, its counter says. */
const SILENCE_MS = 300;
/** How long silence that no rule made must last, milliseconds. */
const LONG_SILENCE_MS = 5000;

const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/**
 * Sends real connections from where a flow begins and sees who answers, and to whom. Networks last
 * as long as the process, as making one takes long in the virtual machine.
 */
export class IpvsDriver implements ScenarioDriver {
  readonly name = "ipvs";
  readonly kind = "lab";
  readonly tolerance = 0;
  #planner: Planner | null = null;
  #index: FrontendIndex | null = null;
  /** By node: scenarios go on where another has left its node, as after a restart. */
  readonly #networks = new Map<string, LabNetwork>();
  #network: LabNetwork | null = null;
  #dataPlane: IpvsDataPlane | null = null;
  /** Clients that nobody remembers yet, by the address that they stand for. */
  #strangers = 0;

  async start(configuration: Configuration): Promise<void> {
    const { families, nodePortAddresses, masqueradeAll } = configuration;
    this.#planner = new Planner({ ...plannerConfig(configuration), scheduler: "rr" });
    this.#index = new FrontendIndex(this.#planner.plan);
    this.#network = await this.#networkOf(configuration);
    const { nodeNamespaceFd } = this.#network;
    this.#dataPlane = await startPlane(nodeNamespaceFd, {
      families,
      rendering: {
        ...DEFAULT_IPVS_OPTIONS,
        rules: { ...DEFAULT_IPVS_OPTIONS.rules, nodePortAddresses },
        masqueradeAll,
      },
      // What leaves goes at once: that it waits for its connections is tested elsewhere.
      gracefulDeadlineMs: 1,
      settlePeriodMs: 1,
    });
  }

  async step(changes: readonly ClusterChange[]): Promise<void> {
    await this.#network!.apply(changes);
    const change = this.#planner!.update(changes);
    this.#index!.apply(change);
    await this.#dataPlane!.sync(this.#planner!.plan, change);
    await until(() => this.#dataPlane!.leaving === 0, "real servers leave");
  }

  async flow(way: Way): Promise<FlowOutcome> {
    const family = familyOf(way.to.address);
    const before = this.#refusals(family);
    const [first] = await this.#network!.probe(way, { path: "/info", timeoutMs: SILENCE_MS });
    if (first.kind !== "answer") {
      const refusals = refusedSince(before, this.#refusals(family));
      const refused = await this.#refusal(way, first, refusals);
      if (refused !== null) return notForwarded(refused);
      if (first.kind !== "timeout") return notForwarded("PASS");
    }
    const answers = await this.#ask(way, ROUNDS * this.#candidates(way));
    if (answers.length === 0 || isDialled(way, answers[0])) return notForwarded("PASS");
    return await this.#forwarded(way, answers);
  }

  async stop(): Promise<void> {
    await this.#dataPlane?.stop();
    this.#network?.forget();
    this.#planner =
      this.#index =
      this.#network =
      this.#dataPlane =
        null;
  }

  async #networkOf(configuration: Configuration): Promise<LabNetwork> {
    const key = JSON.stringify([configuration.node, configuration.nodeAddresses]);
    const known = this.#networks.get(key);
    if (known !== undefined) return known;
    const network = await LabNetwork.start(configuration);
    this.#networks.set(key, network);
    return network;
  }

  /** How many backends there should be. */
  #candidates({ from, to }: Way): number {
    const query = { source: from, dest: to.address, port: to.port, protocol: to.protocol };
    return Math.max(1, decide(this.#planner!.plan, query, this.#index!).backends.length);
  }

  /** A client that always gets the same is told from a Service with one backend by other clients. */
  async #forwarded(way: Way, first: readonly Answered[]): Promise<FlowOutcome> {
    let answers = first;
    const seen = new Set(first.map(nameOf)).size;
    const sticky = seen === 1 && this.#candidates(way) > 1;
    if (sticky) {
      answers = [];
      for (let i = 0; i < this.#candidates(way); i++) {
        const from = neighbour(way.from, ++this.#strangers);
        answers = [...answers, ...await this.#ask({ ...way, from }, 1)];
      }
    }
    return forwardedTo(answers, sticky, (own) => sticky ? null : this.#masquerade(way, own));
  }

  /** Those who answered; nobody, when the first question is not answered. */
  async #ask(way: Way, count: number): Promise<Answered[]> {
    const first = { path: "/info", timeoutMs: LONG_SILENCE_MS };
    const rest = { path: "/info", count: count - 1, concurrency: CONCURRENCY };
    const outcomes = await this.#network!.probe(way, first);
    if (outcomes[0].kind !== "answer") return [];
    outcomes.push(...await this.#network!.probe(way, rest));
    const answered = outcomes.filter((outcome) => outcome.kind === "answer");
    assert.equal(answered.length, count, JSON.stringify(outcomes));
    return answered.map(({ pod }) => answeredBy(this.#network!, way, pod));
  }

  /**
   * Null when it cannot be told: of what the node itself sends, only that it must not leave with the
   * virtual server's address, which the kernel gives it at first.
   */
  #masquerade({ from, to }: Way, answers: readonly Answered[]): boolean | null {
    const client = clientOf(answers);
    if (client === null) return null;
    if (!this.#network!.isNode(from)) return client !== from;
    assert.ok(client !== to.address || this.#network!.isNode(client), `client ${client}`);
    return null;
  }

  /**
   * What a rule did with the flow, by what was refused and to the client's eyes, or a virtual server
   * without real ones; null: nobody refused.
   */
  async #refusal(
    way: Way,
    outcome: Outcome,
    refusals: Refusals,
  ): Promise<"REJECT" | "DROP" | null> {
    const again = async () => (await this.#network!.probe(way, {}))[0];
    const byRule = await verdictOf(outcome, refusals, again);
    if (byRule !== null) return byRule;
    return outcome.kind === "refused" && this.#hasServer(way) ? "REJECT" : null;
  }

  /** Packets that rules have refused so far. */
  #refusals(family: Family): Refusals {
    const counts = { REJECT: 0n, DROP: 0n };
    for (
      const { verdict, packets } of this.#dataPlane!.inside(() => countedRules(family, "filter"))
    ) {
      if (verdict !== null) counts[verdict] += packets;
    }
    return counts;
  }

  /** Whether IPVS takes the flow, and then refuses it itself when no real server is behind. */
  #hasServer({ to: { address, port, protocol } }: Way): boolean {
    return this.#dataPlane!.inside(() => {
      using ipvs = Ipvs.open();
      return ipvs.get({ address, port, protocol: PROTOCOL_NUMBERS[protocol] }) !== null;
    });
  }
}

/** Another client of the same kind: an address of the same network that scenarios don't use. */
function neighbour(address: string, number: number): string {
  const end = Math.max(address.lastIndexOf("."), address.lastIndexOf(":")) + 1;
  return `${address.slice(0, end)}${150 + number}`;
}

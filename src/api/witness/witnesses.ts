/**
 * Asks both witnesses about packets: the engine, and the rules of the mode that runs (the plan where
 * a mode has no rules of its own).
 *
 * @module
 */

import type { ProxyMode } from "../../dataplane/dataplane.ts";
import type { BasedResult, Basis, LookupResult, PacketQuery } from "../../engine/handle.ts";
import type {
  Answer,
  AnswerBackend,
  Answered,
  AnswerInShort,
  Flow,
  SenderQuestions,
  Step,
} from "../../explain/answer.ts";
import { outcomesOf } from "../../explain/from_plan.ts";
import { TooManyWays } from "../../explain/netfilter/paths.ts";
import { type AddressPort, type Family, familyOf, isSameAddressPort } from "../../net/address.ts";
import type { FrontendMatch } from "../../plan/frontend_index.ts";
import { ApiError } from "../errors.ts";
import type { ApiState } from "../state.ts";
import { compareWitnesses, type Disagreement } from "./compare.ts";
import { knownDifference, knownMasquerade } from "./known.ts";
import type { RestsOn, StillRests } from "./iptables_view.ts";
import type { Lasting, PlanViews } from "../plan_views.ts";
import { messageOf } from "../../errors.ts";

/** Which rules are the second witness: those of the last sync, or what the node has this moment. */
export type RulesOf = "synced" | "node";

/** What both say about one packet. */
export interface Testimony {
  readonly engine: LookupResult;
  /** The second witness: the mode's rules, or the plan where it has none. */
  readonly rules: Said;
  readonly disagreements: readonly KnownDisagreement[];
}

/** What the second witness says; the plan, which never forwards itself, in short. */
type Said = Answer | AnswerInShort;

/** A disagreement, and why it has to be: null where it should not. */
export interface KnownDisagreement extends Disagreement {
  readonly known: string | null;
}

/** What both say, and of which other packets the second one says the same. */
export interface LastingTestimony extends Testimony {
  /** For whom else it is the answer, but for the source's name. */
  readonly sender: SenderQuestions;
  /** Whether the second witness names the source: once, then. */
  readonly namesSource: boolean;
  /** What of the rules it rests on; absent: on all of {@link Witnesses.surroundings}. */
  readonly rests?: RestsOn;
}

/** In all others the plan is the second witness. */
const MODES_WITH_RULES: readonly ProxyMode[] = ["iptables", "ipvs", "nftables"];

/** A question to the second witness. Throws ApiError where rules lead too many ways. */
type Ask = (flow: Flow) => Answered<Said>;

/** What answers by the rules that a node has. */
interface NodeWitness {
  /** By all of them. */
  readonly byAll: Ask;
  /** By the proxy's alone; null where these cannot be told from others. */
  readonly byOwn: Ask | null;
}

/** Both witnesses of one proxy. */
export class Witnesses {
  readonly #state: ApiState;
  readonly #views: PlanViews;
  /** Reads that are under way, shared by all who wait for one. */
  readonly #reading = new Map<Family, Promise<NodeWitness>>();

  constructor(state: ApiState, views: PlanViews) {
    this.#state = state;
    this.#views = views;
  }

  get #hasRules(): boolean {
    return MODES_WITH_RULES.includes(this.#state.mode);
  }

  /** What the second witness is. */
  get second(): "rules" | "plan" {
    return this.#hasRules ? "rules" : "plan";
  }

  /** Whether the engine masquerades every connection, so that replies come back through it. */
  get masqueradesAlways(): boolean {
    return this.#state.mode === "userspace" && this.#state.programming;
  }

  /** Throws ApiError when the node cannot be read, or a rule set leads too many ways. */
  async ask(packet: PacketQuery, rulesOf: RulesOf = "synced"): Promise<Testimony> {
    const asked = this.secondWitness(familyOf(packet.dest), rulesOf);
    const second = asked instanceof Promise ? await asked : asked;
    const { sourcePort, ...anyPort } = packet;
    const questions = sourcePort === undefined ? [packet] : [packet, anyPort];
    // A connection that conntrack holds stays where it is, whatever the rules have become: they are
    // compared with what is said of a new one.
    const answers = await this.#state.engine.lookup(questions);
    const { answer: rules } = second({ name: "", ...packet });
    const disagreements = this.compare(packet, answers.at(-1)!, rules);
    return { engine: answers[0], rules, disagreements };
  }

  /** What the second witness says of frontends is another as soon as this is another object. */
  get surroundings(): object {
    return this.#views.surroundings;
  }

  /** Another number as soon as anything of the plan is another. */
  get revision(): number {
    return this.#state.revision();
  }

  /** The frontend that a packet dials: another object as soon as anything of it is another. */
  frontendOf({ dest, port, protocol }: PacketQuery): FrontendMatch | null {
    return this.#views.index.find(dest, port, protocol);
  }

  /** The engine's answer about a packet from any port, or null when it rests on what is known. */
  engineIfChanged(
    packet: PacketQuery,
    known: Basis | null,
  ): BasedResult | null | Promise<BasedResult | null> {
    return this.#state.engine.lookupIfChanged(packet, known);
  }

  /** The second witness beside such an answer, by the rules of the last sync. Throws ApiError. */
  besides(packet: PacketQuery, engine: LookupResult): LastingTestimony {
    const { answer: rules, sender, rests } = this.#bySync({ name: "", ...packet });
    const disagreements = this.compare(packet, engine, rules);
    return {
      engine,
      rules,
      disagreements,
      // Why something has to be otherwise is known of this source.
      sender: disagreements.length === 0 ? sender : onlyOf(packet),
      namesSource: !this.#hasRules,
      rests,
    };
  }

  /** What an answer of the second witness rests on, as it is now; null when any of it is another. */
  stillRests(rests: RestsOn): StillRests | null {
    return this.#views.iptables.stillRests(rests);
  }

  /** Answers for a family, all from one state of the rules. Throws ApiError. */
  secondWitness(family: Family, rulesOf: RulesOf): Ask | Promise<Ask> {
    return this.#hasRules && rulesOf === "node"
      ? this.#read(family).then(({ byAll }) => byAll)
      : this.#bySync;
  }

  /**
   * Like {@link secondWitness}, to be held against the engine: where rules of others leave open what
   * becomes of a packet, it is said by the proxy's alone. Throws ApiError.
   */
  async verifier(family: Family, rulesOf: RulesOf): Promise<Ask> {
    if (!this.#hasRules || rulesOf !== "node") return this.#bySync;
    const { byAll, byOwn } = await this.#read(family);
    return (flow) => {
      const answered = byAll(flow);
      return answered.answer.unknown.length === 0 || byOwn === null ? answered : byOwn(flow);
    };
  }

  /** The second witness's answer by what the last sync has made. */
  readonly #bySync = followable((flow: Flow): Lasting<Said> =>
    this.#hasRules ? this.#views.byRules(flow) : this.#views.byPlan(flow)
  );

  /** What the second witness says otherwise than the engine. */
  compare(packet: PacketQuery, engine: LookupResult, rules: Said): readonly KnownDisagreement[] {
    const match = () => this.frontendOf(packet);
    const disagreements = compareWitnesses(engine, rules, {
      affinity: () => (match()?.port.affinitySeconds ?? null) !== null,
      masqueradesAlways: this.masqueradesAlways,
    });
    if (disagreements.length === 0) return [];
    if (this.second === "plan") return disagreements.map((one) => ({ ...one, known: null }));
    const { addresses } = this.#state.plan().node;
    const known = knownDifference(
      this.#state.mode,
      packet,
      engine,
      rules,
      hasEndpoints(match()),
    );
    const knownOf = ({ field }: Disagreement) =>
      known ?? (field === "masquerade" ? knownMasquerade(engine, rules, addresses) : null);
    return disagreements.map((one) => ({ ...one, known: knownOf(one) }));
  }

  #read(family: Family): Promise<NodeWitness> {
    let reading = this.#reading.get(family);
    if (reading === undefined) {
      reading = this.#readNow(family).finally(() => this.#reading.delete(family));
      this.#reading.set(family, reading);
    }
    return reading;
  }

  async #readNow(family: Family): Promise<NodeWitness> {
    const { iptables, ipvs, nftables } = this.#state.node;
    if (iptables === undefined && ipvs === undefined && nftables === undefined) {
      throw new ApiError(409, "not_programmed", "rules: this node is not programmed", "rules");
    }
    try {
      if (nftables !== undefined) {
        const { byAll, byOwn } = await this.#views.nftables.read(family, nftables);
        return { byAll: followable(byAll), byOwn: followable(byOwn) };
      }
      if (iptables === undefined) {
        return { byAll: followable(await this.#views.ipvs.read(family, ipvs!)), byOwn: null };
      }
      const ask = await this.#views.iptables.read(family, (family) => iptables.saved(family));
      return { byAll: followable(ask), byOwn: null };
    } catch (error) {
      const why = messageOf(error);
      throw new ApiError(503, "node_unreadable", `the node's rules cannot be read: ${why}`);
    }
  }
}

/** Whether any endpoint of the frontend's Service can be used anywhere; null without a frontend. */
function hasEndpoints(match: FrontendMatch | null): boolean | null {
  return match === null ? null : match.port.hasEndpoints;
}

/** Nobody else. */
function onlyOf(packet: PacketQuery): SenderQuestions {
  return { sameFor: (source) => source === packet.source };
}

/** Has an answer that is too long to be found be an error of the API. */
function followable<Answer>(ask: (flow: Flow) => Answer): (flow: Flow) => Answer {
  return (flow) => {
    try {
      return ask(flow);
    } catch (error) {
      if (!(error instanceof TooManyWays)) throw error;
      throw new ApiError(422, "too_many_ways", error.message);
    }
  };
}

/** The engine's word in the shape of the rules', with the steps of both. */
export function engineAnswer(
  { engine, rules }: Testimony,
  masqueradesAlways: boolean,
): Omit<Answer, "name"> {
  const { verdict, service } = engine;
  const steps = [...rules.steps, engineStep(engine)];
  const backends = engine.backends.map((backend, i): AnswerBackend => ({
    address: backend.address,
    port: backend.port,
    probability: backend.probability,
    masquerade: masqueradesAlways || masqueradesTo(backend, engine, rules, i),
  }));
  const outcomes = outcomesOf(verdict, backends, steps);
  const masquerade = verdict === "FORWARD" && backends.every((backend) => backend.masquerade);
  return { verdict, service, backends, masquerade, steps, outcomes, unknown: [] };
}

/** The rules' word, with the engine's as the last step. */
export function rulesAnswer({ engine, rules }: Testimony): Omit<Answer, "name"> {
  const { name: _, ...rest } = rules;
  const outcomes = "outcomes" in rules
    ? rules.outcomes
    : outcomesOf(rules.verdict, rules.backends, rules.steps);
  return { ...rest, outcomes, steps: [...rules.steps, engineStep(engine)] };
}

function engineStep({ reason }: LookupResult): Step {
  const where = { hook: null, table: null, chain: null, rule: null, line: null };
  return { ...where, text: "packet engine", action: reason };
}

/**
 * The engine says it of the backend that is next; of the others the plan or the rules do, most often
 * at the same place of their list, from its begin or its end.
 */
function masqueradesTo(
  backend: AddressPort,
  engine: LookupResult,
  rules: Said,
  place: number,
): boolean {
  if (engine.backend !== null && isSameAddressPort(engine.backend, backend)) {
    return engine.masquerade;
  }
  for (const there of [rules.backends.at(place), rules.backends.at(-1 - place)]) {
    if (there !== undefined && isSameAddressPort(there, backend)) return there.masquerade;
  }
  const found = rules.backends.find((there) => isSameAddressPort(there, backend));
  return found?.masquerade ?? engine.masquerade;
}

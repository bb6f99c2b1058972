/**
 * Explanations in words, kept for as long as they hold. The engine is asked about every packet, and
 * says whether its answer is still the same; to look up, compare and write down once more what both
 * witnesses said of another client of the same frontend would be the greater part of the work.
 *
 * @module
 */

import { getHeapStatistics } from "node:v8";
import type { BasedResult, Basis, PacketQuery } from "../../engine/handle.ts";
import type { SenderQuestions } from "../../explain/answer.ts";
import { IdleWatch } from "../../idle.ts";
import type { FrontendMatch } from "../../plan/frontend_index.ts";
import type { RestsOn } from "./iptables_view.ts";
import type { Testimony, Witnesses } from "./witnesses.ts";

/**
 * What is kept at most, characters, as a part of what the heap may hold: of 10,000 Services with ten
 * endpoints each 28 million by the plan, 120 million by the rules of iptables mode.
 */
const MOST_CHARACTERS = getHeapStatistics().heap_size_limit / 32;

/** What nobody has asked for so long is let go of, milliseconds. */
const IDLE_MS = 300_000;

/** An answer about a frontend, and what it rests on. */
interface Worded {
  readonly frontend: FrontendMatch;
  readonly basis: Basis;
  readonly sender: SenderQuestions;
  /** The text up to the source's name; all of it where the source is not named. */
  before: string;
  /** The text behind that name; null: the source is not named. */
  after: string | null;
  /** The plan's, of the last one that is known to have the frontend. */
  revision: number;
  /** The last in which it is known to hold. */
  surroundings: object;
  /** What of these it rests on; undefined: all. */
  rests: RestsOn | undefined;
}

/** How answers are put into words. */
export interface Wording {
  /** All words come from the witnesses. */
  write(said: Testimony): string;
  /** The same text where the rules that it names have moved to other lines. */
  withLines(text: string, moves: (line: number) => number): string;
}

/** The answers of one pair of witnesses, as text. */
export class WordedAnswers {
  readonly #witnesses: Witnesses;
  readonly #wording: Wording;
  /** By what was dialled, those that were kept first in front. */
  readonly #kept = new Map<string, Worded>();
  readonly #mostCharacters: number;
  readonly #idle: IdleWatch;
  #characters = 0;

  constructor(witnesses: Witnesses, wording: Wording, mostCharacters = MOST_CHARACTERS) {
    this.#witnesses = witnesses;
    this.#wording = wording;
    this.#mostCharacters = mostCharacters;
    this.#idle = new IdleWatch(IDLE_MS, () => this.#forget());
  }

  /**
   * What both say about a packet from any port, by the rules of the last sync; at once where the
   * engine answers at once. Throws ApiError.
   */
  about(packet: PacketQuery): string | Promise<string> {
    const { surroundings, revision } = this.#witnesses;
    this.#idle.use();
    const known = this.#known(packet, surroundings, revision);
    const answer = this.#witnesses.engineIfChanged(packet, known?.basis ?? null);
    const word = (answer: BasedResult | null) =>
      answer === null
        ? textFor(known!, packet.source)
        : this.#word(packet, answer, surroundings, revision);
    return answer instanceof Promise ? answer.then(word) : word(answer);
  }

  /** Says what the witnesses say; the rest is of the moment when the engine was asked. */
  #word(
    packet: PacketQuery,
    { basis, result }: BasedResult,
    surroundings: object,
    revision: number,
  ): string {
    const said = this.#witnesses.besides(packet, result);
    const text = this.#wording.write(said);
    const frontend = this.#witnesses.frontendOf(packet);
    const same = this.#witnesses.revision === revision &&
      this.#witnesses.surroundings === surroundings;
    const parts = same && frontend !== null ? partsOf(text, packet.source, said.namesSource) : null;
    if (parts !== null) {
      const { sender, rests } = said;
      const kept = { frontend: frontend!, basis, sender, ...parts, revision, surroundings, rests };
      this.#keep(dialled(packet), kept);
    }
    return text;
  }

  /** What is kept about a packet, as far as it holds of plan and rules. */
  #known(packet: PacketQuery, surroundings: object, revision: number): Worded | null {
    const known = this.#kept.get(dialled(packet));
    if (known === undefined || !known.sender.sameFor(packet.source)) return null;
    if (known.revision !== revision) {
      if (this.#witnesses.frontendOf(packet) !== known.frontend) return null;
      known.revision = revision;
    }
    if (known.surroundings !== surroundings) {
      if (!this.#stillRests(known)) return null;
      known.surroundings = surroundings;
    }
    return known;
  }

  /** Whether what an answer rests on is still the same; its lines are then brought up to date. */
  #stillRests(known: Worded): boolean {
    const still = known.rests === undefined ? null : this.#witnesses.stillRests(known.rests);
    if (still === null) return false;
    const { rests, moves } = still;
    known.rests = rests;
    if (moves === null) return true;
    this.#characters -= lengthOf(known);
    known.before = this.#wording.withLines(known.before, moves);
    if (known.after !== null) known.after = this.#wording.withLines(known.after, moves);
    this.#characters += lengthOf(known);
    return true;
  }

  #keep(dialled: string, worded: Worded): void {
    this.#drop(dialled);
    this.#kept.set(dialled, worded);
    this.#characters += lengthOf(worded);
    for (const oldest of this.#kept.keys()) {
      if (this.#characters <= this.#mostCharacters) break;
      this.#drop(oldest);
    }
  }

  #drop(dialled: string): void {
    const dropped = this.#kept.get(dialled);
    if (dropped === undefined) return;
    this.#kept.delete(dialled);
    this.#characters -= lengthOf(dropped);
  }

  #forget(): void {
    this.#kept.clear();
    this.#characters = 0;
  }
}

/** What a packet dials, in a word. */
function dialled({ dest, port, protocol }: PacketQuery): string {
  return `${dest} ${port} ${protocol}`;
}

/** A text around the source's name; null: it holds of this source alone. */
function partsOf(
  text: string,
  source: string,
  namesSource: boolean,
): Pick<Worded, "before" | "after"> | null {
  const [before, after = null, ...others] = text.split(source);
  // Elsewhere it is the name of something else, or part of one.
  const named = after !== null;
  return named !== namesSource || others.length > 0 ? null : { before, after };
}

function textFor({ before, after }: Worded, source: string): string {
  return after === null ? before : before + source + after;
}

function lengthOf({ before, after }: Pick<Worded, "before" | "after">): number {
  return before.length + (after?.length ?? 0);
}

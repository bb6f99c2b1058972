/**
 * Explanations in words, kept for as long as they hold. The engine is asked about every packet, and
 * says whether its answer is still the same; to look up, compare and write down once more what both
 * witnesses said of another client of the same frontend would be the greater part of the work.
 *
 * @module
 */

import { getHeapStatistics } from "node:v8";
import { PROTOCOL_NUMBERS } from "../../engine/abi.ts";
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
  /**
   * By port and protocol, then by address, those that were kept first in front: a key of all three
   * would have to be put together for each question.
   */
  readonly #kept = new Map<number, Map<string, Worded>>();
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
      this.#keep(packet, kept);
    }
    return text;
  }

  /** What is kept about a packet, as far as it holds of plan and rules. */
  #known(packet: PacketQuery, surroundings: object, revision: number): Worded | null {
    const known = this.#kept.get(doorOf(packet))?.get(packet.dest);
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

  #keep(packet: PacketQuery, worded: Worded): void {
    const door = doorOf(packet);
    let behind = this.#kept.get(door);
    if (behind === undefined) this.#kept.set(door, behind = new Map());
    this.#drop(behind, packet.dest);
    behind.set(packet.dest, worded);
    this.#characters += lengthOf(worded);
    for (const [oldest, dropped] of this.#kept) {
      for (const dest of dropped.keys()) {
        if (this.#characters <= this.#mostCharacters) return;
        this.#drop(dropped, dest);
      }
      this.#kept.delete(oldest);
    }
  }

  #drop(behind: Map<string, Worded>, dest: string): void {
    const dropped = behind.get(dest);
    if (dropped === undefined) return;
    behind.delete(dest);
    this.#characters -= lengthOf(dropped);
  }

  #forget(): void {
    this.#kept.clear();
    this.#characters = 0;
  }
}

/** Port and protocol of what a packet dials. */
function doorOf({ port, protocol }: PacketQuery): number {
  return PROTOCOL_NUMBERS[protocol] << 16 | port;
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

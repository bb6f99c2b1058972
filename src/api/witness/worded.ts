/**
 * Explanations in words, kept for as long as they hold. The engine is asked about every packet, and
 * says whether its answer is still the same; to look up, compare and write down once more what both
 * witnesses said of another client of the same frontend would be the greater part of the work.
 *
 * @module
 */

import type { Basis, PacketQuery } from "../../engine/handle.ts";
import type { SenderQuestions } from "../../explain/answer.ts";
import { IdleWatch } from "../../idle.ts";
import type { FrontendMatch } from "../../plan/frontend_index.ts";
import type { LastingTestimony, Testimony, Witnesses } from "./witnesses.ts";

/** What is kept at most, characters: of 10,000 Services with ten endpoints each some 28 million. */
const MOST_CHARACTERS = 1 << 25;

/** What nobody has asked for so long is let go of, milliseconds. */
const IDLE_MS = 300_000;

/** An answer about a frontend, and of whom it holds. */
interface Worded {
  /** The address that was dialled: a node port has many. */
  readonly dest: string;
  readonly basis: Basis;
  readonly sender: SenderQuestions;
  /** The text up to the source's name; all of it where the source is not named. */
  readonly before: string;
  /** The text behind that name; null: the source is not named. */
  readonly after: string | null;
}

/** The answers of one pair of witnesses, as text. */
export class WordedAnswers {
  readonly #witnesses: Witnesses;
  readonly #write: (said: Testimony) => string;
  /** By what was dialled, those that were kept first in front. */
  readonly #kept = new Map<FrontendMatch, Worded>();
  readonly #mostCharacters: number;
  readonly #idle: IdleWatch;
  #characters = 0;
  #surroundings: object | null = null;

  /** @param write puts an answer into words, all of which come from the witnesses. */
  constructor(
    witnesses: Witnesses,
    write: (said: Testimony) => string,
    mostCharacters = MOST_CHARACTERS,
  ) {
    this.#witnesses = witnesses;
    this.#write = write;
    this.#mostCharacters = mostCharacters;
    this.#idle = new IdleWatch(IDLE_MS, () => this.#forget());
  }

  /** What both say about a packet from any port, by the rules of the last sync. Throws ApiError. */
  async about(packet: PacketQuery): Promise<string> {
    const { surroundings } = this.#witnesses;
    if (surroundings !== this.#surroundings) this.#forget();
    this.#surroundings = surroundings;
    this.#idle.use();
    const frontend = this.#witnesses.frontendOf(packet);
    const known = frontend === null ? null : this.#known(frontend, packet);
    const answer = await this.#witnesses.engineIfChanged(packet, known?.basis ?? null);
    if (answer === null) return textFor(known!, packet.source);
    const said = this.#witnesses.besides(packet, answer.result);
    const text = this.#write(said);
    // Either may have changed while the engine was asked.
    const same = this.#witnesses.surroundings === surroundings &&
      this.#witnesses.frontendOf(packet) === frontend;
    const worded = same ? wordedOf(text, packet, answer.basis, said) : null;
    if (frontend !== null && worded !== null) this.#keep(frontend, worded);
    return text;
  }

  #known(frontend: FrontendMatch, { source, dest }: PacketQuery): Worded | null {
    const kept = this.#kept.get(frontend);
    return kept !== undefined && kept.dest === dest && kept.sender.sameFor(source) ? kept : null;
  }

  #keep(frontend: FrontendMatch, worded: Worded): void {
    this.#drop(frontend);
    this.#kept.set(frontend, worded);
    this.#characters += lengthOf(worded);
    for (const oldest of this.#kept.keys()) {
      if (this.#characters <= this.#mostCharacters) break;
      this.#drop(oldest);
    }
  }

  #drop(frontend: FrontendMatch): void {
    const dropped = this.#kept.get(frontend);
    if (dropped === undefined) return;
    this.#kept.delete(frontend);
    this.#characters -= lengthOf(dropped);
  }

  #forget(): void {
    this.#kept.clear();
    this.#characters = 0;
  }
}

/** An answer as it is kept; null: it holds of this source alone. */
function wordedOf(
  text: string,
  { source, dest }: PacketQuery,
  basis: Basis,
  { sender, namesSource }: LastingTestimony,
): Worded | null {
  const [before, after = null, ...others] = text.split(source);
  // Elsewhere it is the name of something else, or part of one.
  const named = after !== null;
  if (named !== namesSource || others.length > 0) return null;
  return { dest, basis, sender, before, after };
}

function textFor({ before, after }: Worded, source: string): string {
  return after === null ? before : before + source + after;
}

function lengthOf({ before, after }: Worded): number {
  return before.length + (after?.length ?? 0);
}

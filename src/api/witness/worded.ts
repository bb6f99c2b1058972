/**
 * Explanations in words, kept for as long as they hold. The engine is asked about every packet, and
 * says whether its answer is still the same; to look up, compare and write down once more what both
 * witnesses said of another client of the same frontend would be the greater part of the work.
 *
 * @module
 */

import type { BasedResult, Basis, PacketQuery } from "../../engine/handle.ts";
import type { SenderQuestions } from "../../explain/answer.ts";
import { IdleWatch } from "../../idle.ts";
import type { FrontendMatch } from "../../plan/frontend_index.ts";
import type { Testimony, Witnesses } from "./witnesses.ts";

/** What is kept at most, characters: of 10,000 Services with ten endpoints each some 28 million. */
const MOST_CHARACTERS = 1 << 25;

/** What nobody has asked for so long is let go of, milliseconds. */
const IDLE_MS = 300_000;

/** An answer about a frontend, and of whom it holds. */
interface Worded {
  readonly frontend: FrontendMatch;
  /** Of the plan: the last one that is known to have the frontend. */
  revision: number;
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
  readonly #kept = new Map<string, Worded>();
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

  /**
   * What both say about a packet from any port, by the rules of the last sync; at once where the
   * engine answers at once. Throws ApiError.
   */
  about(packet: PacketQuery): string | Promise<string> {
    const { surroundings, revision } = this.#witnesses;
    if (surroundings !== this.#surroundings) this.#forget();
    this.#surroundings = surroundings;
    this.#idle.use();
    const known = this.#known(packet, revision);
    const answer = this.#witnesses.engineIfChanged(packet, known?.basis ?? null);
    return answer instanceof Promise
      ? answer.then((answer) => this.#word(packet, known, answer, revision))
      : this.#word(packet, known, answer, revision);
  }

  /** Says what is known, or what the witnesses say instead of it; `revision` was that of the plan. */
  #word(
    packet: PacketQuery,
    known: Worded | null,
    answer: BasedResult | null,
    revision: number,
  ): string {
    if (answer === null) return textFor(known!, packet.source);
    const said = this.#witnesses.besides(packet, answer.result);
    const text = this.#write(said);
    const frontend = this.#witnesses.frontendOf(packet);
    // Either may have changed while the engine was asked.
    const same = this.#witnesses.revision === revision &&
      this.#witnesses.surroundings === this.#surroundings;
    const parts = same && frontend !== null ? partsOf(text, packet.source, said.namesSource) : null;
    if (parts !== null) {
      const { basis } = answer;
      const { sender } = said;
      this.#keep(dialled(packet), { frontend: frontend!, revision, basis, sender, ...parts });
    }
    return text;
  }

  #known(packet: PacketQuery, revision: number): Worded | null {
    const known = this.#kept.get(dialled(packet));
    if (known === undefined || !known.sender.sameFor(packet.source)) return null;
    if (known.revision !== revision) {
      if (this.#witnesses.frontendOf(packet) !== known.frontend) return null;
      known.revision = revision;
    }
    return known;
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

function lengthOf({ before, after }: Worded): number {
  return before.length + (after?.length ?? 0);
}

/**
 * Explanations in words, kept for as long as they hold. The engine is asked about every packet, and
 * says whether its answer is still the same; to look up, compare and write down once more what both
 * witnesses said of another client of the same frontend would be the greater part of the work.
 *
 * @module
 */

import type { Basis, PacketQuery } from "../../engine/handle.ts";
import { IdleWatch } from "../../idle.ts";
import type { LastingTestimony, Testimony, Witnesses } from "./witnesses.ts";

/** What is kept at most, characters: of 10,000 Services with ten endpoints each some 28 million. */
const MOST_CHARACTERS = 1 << 25;

/** What nobody has asked for so long is let go of, milliseconds. */
const IDLE_MS = 300_000;

/** An answer, and of whom it holds. */
interface Worded {
  readonly basis: Basis;
  readonly sameFor: (source: string) => boolean;
  /** The text up to the source's name, and behind it; one part: the source is not named. */
  readonly parts: readonly string[];
}

/** The answers of one pair of witnesses, as text. */
export class WordedAnswers {
  readonly #witnesses: Witnesses;
  readonly #write: (said: Testimony) => string;
  /** By what was dialled; who is asked about again is behind all others. */
  readonly #kept = new Map<string, Worded>();
  readonly #mostCharacters: number;
  readonly #idle: IdleWatch;
  #characters = 0;
  #state: object | null = null;

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
    const { state } = this.#witnesses;
    if (state !== this.#state) this.#forget();
    this.#state = state;
    this.#idle.use();
    const key = `${packet.dest} ${packet.port} ${packet.protocol}`;
    const kept = this.#kept.get(key);
    const known = kept !== undefined && kept.sameFor(packet.source) ? kept : null;
    const said = await this.#witnesses.askIfChanged(packet, known?.basis ?? null);
    if (said === null) return known!.parts.join(packet.source);
    const text = this.#write(said);
    // The plan may have changed while the engine was asked.
    const parts = this.#witnesses.state === state ? partsOf(text, packet, said) : null;
    if (parts !== null) this.#keep(key, { basis: said.basis, sameFor: said.sameFor, parts });
    return text;
  }

  #keep(key: string, worded: Worded): void {
    this.#drop(key);
    this.#kept.set(key, worded);
    this.#characters += lengthOf(worded);
    for (const oldest of this.#kept.keys()) {
      if (this.#characters <= this.#mostCharacters) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const dropped = this.#kept.get(key);
    if (dropped === undefined) return;
    this.#kept.delete(key);
    this.#characters -= lengthOf(dropped);
  }

  #forget(): void {
    this.#kept.clear();
    this.#characters = 0;
  }
}

function lengthOf({ parts }: Worded): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** The text without the source's name; null when it does not hold of other sources. */
function partsOf(
  text: string,
  { source }: PacketQuery,
  { engine, namesSource }: LastingTestimony,
): readonly string[] | null {
  if (engine.service === null) return null;
  const parts = text.split(source);
  // Elsewhere it is the name of something else, or part of one.
  return parts.length === (namesSource ? 2 : 1) ? parts : null;
}

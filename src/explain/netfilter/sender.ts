/**
 * Who sends a packet. Each question about it is written down with what was said, so that an answer
 * can be found to hold for another sender without going through the rules again.
 *
 * @module
 */

import { addressBytes } from "../../net/address.ts";
import type { SenderQuestions } from "../answer.ts";

/** An address: canonical text, and 4 or 16 bytes in network order. */
export interface Address {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** What may be said of a sender: values that are the same when === says so. */
export type Said = boolean | number | string | object | null;

/**
 * A question. What it comes to depends on nothing but on what it is given. It is written down by
 * its identity and its context's: one that is there for good is asked once.
 */
export type Question<Subject, Context, T extends Said> = (subject: Subject, context: Context) => T;

/** An address of a packet, the sender's or another. Who reads text or bytes wants exactly it. */
export interface Ip extends Address {
  /** Tells it from the other addresses that one packet may get; asks nothing of it. */
  readonly id: string;
  /** What a question comes to. */
  ask<Context, T extends Said>(question: Question<Address, Context, T>, context: Context): T;
}

/** The sender's port; null: any. Who reads the number wants exactly it. */
export interface SourcePort {
  readonly number: number | null;
  /** What a question comes to. */
  ask<Context, T extends Said>(question: Question<number | null, Context, T>, context: Context): T;
}

/** An address that has nothing to do with the sender's. */
class KnownIp implements Ip {
  #bytes: Uint8Array | null;

  constructor(readonly text: string, bytes: Uint8Array | null = null) {
    this.#bytes = bytes;
  }

  get id(): string {
    return this.text;
  }

  get bytes(): Uint8Array {
    return this.#bytes ??= addressBytes(this.text);
  }

  ask<Context, T extends Said>(question: Question<Address, Context, T>, context: Context): T {
    return question(this, context);
  }
}

/** An address that has nothing to do with the sender's, of canonical text. */
export function ip(text: string, bytes: Uint8Array | null = null): Ip {
  return new KnownIp(text, bytes);
}

/** So many questions are written down; an answer that took more is the sender's own. */
const MOST_QUESTIONS = 4096;

type AnyQuestion<Subject> = Question<Subject, unknown, Said>;

interface AskedQuestion<Subject> {
  readonly question: AnyQuestion<Subject>;
  readonly said: Said;
}

/** Questions about one side of the sender, and what was said. */
class Asked<Subject> {
  /** By context. */
  readonly #said = new Map<unknown, AskedQuestion<Subject>[]>();
  #count = 0;
  /** Whether the answer may be another for every other sender. */
  #exact = false;

  constructor(private readonly subject: Subject) {}

  ask<Context, T extends Said>(question: Question<Subject, Context, T>, context: Context): T {
    const asked = this.#said.get(context);
    const known = asked?.find((one) => one.question === question);
    if (known !== undefined) return known.said as T;
    const said = question(this.subject, context);
    if (++this.#count > MOST_QUESTIONS) {
      this.#exact = true;
      return said;
    }
    const now = { question: question as AnyQuestion<Subject>, said };
    if (asked === undefined) this.#said.set(context, [now]);
    else asked.push(now);
    return said;
  }

  exactly(): Subject {
    this.#exact = true;
    return this.subject;
  }

  /** Whether of another the same would be said. */
  isSaidOf(other: Subject): boolean {
    if (this.#exact) return false;
    for (const [context, asked] of this.#said) {
      for (const { question, said } of asked) if (question(other, context) !== said) return false;
    }
    return true;
  }

  /** What is to be asked of another; null: there is none of whom the same would be said. */
  list(): readonly unknown[] | null {
    if (this.#exact) return null;
    const list: unknown[] = [];
    for (const [context, asked] of this.#said) {
      for (const { question, said } of asked) list.push(question, context, said);
    }
    return list;
  }
}

/** Whether of another the same is said: questions, contexts and what was said, in turns. */
function isSaidOf<Subject>(list: readonly unknown[], subject: Subject): boolean {
  for (let i = 0; i < list.length; i += 3) {
    if ((list[i] as AnyQuestion<Subject>)(subject, list[i + 1]) !== list[i + 2]) return false;
  }
  return true;
}

/** An address of which it is written down what was asked. */
export class AskedAddress extends Asked<Address> implements Ip {
  get id(): string {
    return "";
  }

  get text(): string {
    return this.exactly().text;
  }

  get bytes(): Uint8Array {
    return this.exactly().bytes;
  }
}

class SenderPort extends Asked<number | null> implements SourcePort {
  get number(): number | null {
    return this.exactly();
  }
}

/** The sender of one packet. */
export class Sender {
  readonly #address: AskedAddress;
  readonly #port: SenderPort;

  /**
   * @param text the address, canonical.
   * @param number the port; null: any.
   */
  constructor(private readonly text: string, private readonly number: number | null) {
    this.#address = new AskedAddress(ip(text));
    this.#port = new SenderPort(number);
  }

  get address(): Ip {
    return this.#address;
  }

  get port(): SourcePort {
    return this.#port;
  }

  /** What has been asked so far. */
  questions(): SenderQuestions {
    return new Questions(this.text, this.number, this.#address.list(), this.#port.list());
  }
}

class Questions implements SenderQuestions {
  constructor(
    private readonly address: string,
    private readonly port: number | null,
    private readonly ofAddress: readonly unknown[] | null,
    private readonly ofPort: readonly unknown[] | null,
  ) {}

  sameFor(source: string, sourcePort?: number): boolean {
    const port = sourcePort ?? null;
    return (port === this.port || this.ofPort !== null && isSaidOf(this.ofPort, port)) &&
      (source === this.address || this.ofAddress !== null && isSaidOf(this.ofAddress, ip(source)));
  }
}

/** Whether it is this one, in canonical text. */
export function isAddress(address: Address, text: string): boolean {
  return address.text === text;
}

/**
 * Many questions to the engine at once, and its answers, as records of a fixed size. All numbers are
 * little endian; addresses are 16 bytes in network order, IPv4 mapped into IPv6 (::ffff:a.b.c.d).
 *
 * @module
 */

import { AnswerRecord, IpFamily, IpProtocol, LookupReason, QueryRecord } from "./abi.ts";
import type { RecordAnswers } from "./handle.ts";
import type { EngineExports } from "./module.ts";
import type { Scratch } from "./scratch.ts";
import type { PlanTables } from "./tables.ts";
import { VERDICTS } from "./verdicts.ts";

/** A question: what the engine takes, but for the family, which the addresses tell. */
export const QUESTION = {
  source: 0,
  dest: 16,
  /** u16; 0 for any. */
  sourcePort: 32,
  /** u16, from 1. */
  port: 34,
  /** u8: 6 TCP, 17 UDP, 132 SCTP. */
  protocol: 36,
  /** Three bytes that have to be 0. */
  reserved: 37,
  size: 40,
} as const;

/** An answer. */
export const ANSWER = {
  /** u8: 0 FORWARD, 1 REJECT, 2 DROP, 3 PASS. */
  verdict: 0,
  /** u8: a {@link LookupReason}. */
  reason: 1,
  /** u8: 0 pod, 1 node, 2 outside. */
  sourceClass: 2,
  /** u8: 0 ClusterIP, 1 NodePort, 2 ExternalIP, 3 LoadBalancer; 255: none. */
  frontend: 3,
  /** u8: 1 when masqueraded. */
  masquerade: 4,
  /** u16 of the backend; 0: there is none. */
  port: 6,
  /** u32: index of the service port's name; {@link NO_SERVICE}: none. */
  service: 8,
  /** Of the backend; 16 zero bytes: there is none. */
  address: 16,
  size: 32,
} as const;

/** Instead of a service's index. */
const NO_SERVICE = 0xffffffff;

/** Instead of a frontend's kind. */
const NO_FRONTEND = 255;

/** Numbers of verdicts, by {@link LookupReason}. */
const VERDICT_NUMBERS: readonly number[] = Object.values(VERDICTS).map((verdict) =>
  ["FORWARD", "REJECT", "DROP", "PASS"].indexOf(verdict)
);

const WORDS = { question: QUESTION.size / 4, answer: ANSWER.size / 4 };

/** A record that cannot be asked, and why. */
export interface BadRecord {
  readonly index: number;
  readonly field: string;
  readonly expected: string;
}

/** The first of the questions that cannot be asked; null when all can. */
export function findBadRecord(questions: Uint8Array): BadRecord | null {
  const words = aligned(questions);
  for (let at = 0; at < words.length; at += WORDS.question) {
    const bad = (field: string, expected: string) => ({
      index: at / WORDS.question,
      field,
      expected,
    });
    const protocol = words[at + QUESTION.protocol / 4];
    if (
      protocol !== IpProtocol.Tcp && protocol !== IpProtocol.Udp && protocol !== IpProtocol.Sctp
    ) return bad("protocol", "6, 17 or 132, and three bytes that are 0");
    if (words[at + QUESTION.sourcePort / 4] >>> 16 === 0) {
      return bad("port", "a number from 1 to 65535");
    }
    const source = isMapped(words, at + QUESTION.source / 4);
    if (source !== isMapped(words, at + QUESTION.dest / 4)) {
      return bad("dest", "an address of the source's IP family");
    }
  }
  return null;
}

/** Asks one engine. */
export class RecordQuestions {
  readonly #engine: EngineExports;
  readonly #view: DataView<ArrayBuffer>;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #tables: PlanTables;
  readonly #names = new Names();

  constructor(engine: EngineExports, { view }: Scratch, tables: PlanTables) {
    this.#engine = engine;
    this.#view = view;
    this.#words = new Uint32Array(view.buffer, view.byteOffset, view.byteLength / 4);
    this.#tables = tables;
  }

  /** Answers in the order asked, to questions that {@link findBadRecord} has nothing against. */
  lookup(questions: Uint8Array, nowMs: number): RecordAnswers {
    const count = questions.length / QUESTION.size;
    const asked = aligned(questions);
    const records = new Uint8Array(count * ANSWER.size);
    const answers = new Uint32Array(records.buffer);
    const names = this.#names;
    names.begin();
    for (let i = 0; i < count; i++) {
      const at = i * WORDS.question;
      for (let word = 0; word < WORDS.question; word++) this.#words[word] = asked[at + word];
      this.#complete();
      this.#engine.lookup(nowMs);
      this.#answer(answers, i * WORDS.answer, names);
    }
    return { records, services: names.list };
  }

  /** Adds to the question in the scratch area what the engine wants to know besides. */
  #complete(): void {
    const family = isMapped(this.#words, QUESTION.dest / 4) ? IpFamily.V4 : IpFamily.V6;
    this.#view.setUint8(QueryRecord.Family, family);
    const exact = this.#view.getUint16(QUESTION.sourcePort, true) !== 0;
    this.#view.setUint8(QueryRecord.HasSourcePort, exact ? 1 : 0);
  }

  /** Writes what the engine answered. */
  #answer(answers: Uint32Array, at: number, names: Names): void {
    const view = this.#view;
    const words = this.#words;
    const reason: LookupReason = view.getUint8(AnswerRecord.Reason);
    const servicePort = view.getUint32(AnswerRecord.ServicePort, true);
    const backend = view.getUint32(AnswerRecord.Backend, true);
    const tracked = reason === LookupReason.Tracked;
    const service = tracked
      ? names.ofName(this.#tables.backend(backend)?.service ?? null)
      : names.ofPort(servicePort, this.#tables);
    const known = service !== NO_SERVICE && (!tracked || servicePort !== 0);
    const frontend = known ? view.getUint8(AnswerRecord.FrontendKind) : NO_FRONTEND;
    const sourceClass = view.getUint8(AnswerRecord.SourceClass);
    answers[at] = VERDICT_NUMBERS[reason] | reason << 8 | sourceClass << 16 | frontend << 24;
    const masquerade = view.getUint8(AnswerRecord.Masquerade);
    const port = backend === 0 ? 0 : view.getUint16(AnswerRecord.BackendPort, true);
    answers[at + ANSWER.masquerade / 4] = masquerade | port << 16;
    answers[at + ANSWER.service / 4] = service;
    if (backend === 0) return;
    const from = AnswerRecord.BackendAddress / 4;
    const to = at + ANSWER.address / 4;
    for (let word = 0; word < 4; word++) answers[to + word] = words[from + word];
  }
}

/** Names of service ports by the index that the answers of one call have. */
class Names {
  /** A name may be there twice: by its port, and by connections. */
  list: string[] = [];
  /** By service port: the call in which it was named last, and its index there. */
  #calls = new Uint32Array(1024);
  #indexes = new Uint32Array(1024);
  #call = 0;
  readonly #byName = new Map<string, number>();

  /** Begins another call. */
  begin(): void {
    this.list = [];
    this.#byName.clear();
    this.#call++;
  }

  ofPort(servicePort: number, tables: PlanTables): number {
    if (this.#calls[servicePort] === this.#call) return this.#indexes[servicePort];
    const name = servicePort === 0 ? null : tables.serviceName(servicePort);
    if (name === null) return NO_SERVICE;
    if (servicePort >= this.#calls.length) this.#grow(servicePort);
    this.#calls[servicePort] = this.#call;
    return this.#indexes[servicePort] = this.list.push(name) - 1;
  }

  /** The name of a service port that may have left the plan. */
  ofName(name: string | null): number {
    if (name === null) return NO_SERVICE;
    let index = this.#byName.get(name);
    if (index === undefined) this.#byName.set(name, index = this.list.push(name) - 1);
    return index;
  }

  #grow(servicePort: number): void {
    const grown = (from: Uint32Array) => {
      const to = new Uint32Array(2 * servicePort);
      to.set(from);
      return to;
    };
    this.#calls = grown(this.#calls);
    this.#indexes = grown(this.#indexes);
  }
}

/** ::ffff:0:0/96; the words are those of a little-endian machine, as WebAssembly is. */
function isMapped(words: Uint32Array, at: number): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff0000;
}

function aligned(bytes: Uint8Array): Uint32Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}

/** Asks in batches, so that whoever answers can do other work between them. */
export async function askInBatches(
  ask: (questions: Uint8Array) => Promise<RecordAnswers>,
  questions: Uint8Array,
  batch: number,
): Promise<RecordAnswers> {
  const records = new Uint8Array(questions.length / QUESTION.size * ANSWER.size);
  const services: string[] = [];
  const indexes = new Map<string, number>();
  let at = 0;
  for (let from = 0; from < questions.length; from += batch * QUESTION.size) {
    const answers = await ask(questions.subarray(from, from + batch * QUESTION.size));
    const places = answers.services.map((name) => {
      let index = indexes.get(name);
      if (index === undefined) indexes.set(name, index = services.push(name) - 1);
      return index;
    });
    renumber(answers.records, places);
    records.set(answers.records, at);
    at += answers.records.length;
  }
  return { records, services };
}

/** Turns a batch's own indexes of services into those of all. */
function renumber({ buffer, byteOffset, byteLength }: Uint8Array, places: readonly number[]): void {
  const view = new DataView(buffer, byteOffset, byteLength);
  for (let at = ANSWER.service; at < byteLength; at += ANSWER.size) {
    const index = view.getUint32(at, true);
    if (index !== NO_SERVICE) view.setUint32(at, places[index], true);
  }
}

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
export const NO_SERVICE = 0xffffffff;

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
    const names = new Names();
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

/** Names of service ports, each once, by the index that answers have. */
class Names {
  readonly list: string[] = [];
  readonly #byPort = new Map<number, number>();
  readonly #byName = new Map<string, number>();

  ofPort(servicePort: number, tables: PlanTables): number {
    if (servicePort === 0) return NO_SERVICE;
    let index = this.#byPort.get(servicePort);
    if (index === undefined) {
      index = this.ofName(tables.serviceName(servicePort));
      this.#byPort.set(servicePort, index);
    }
    return index;
  }

  ofName(name: string | null): number {
    if (name === null) return NO_SERVICE;
    let index = this.#byName.get(name);
    if (index === undefined) {
      index = this.list.push(name) - 1;
      this.#byName.set(name, index);
    }
    return index;
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

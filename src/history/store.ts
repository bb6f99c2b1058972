/**
 * The history in a folder: a file that is only appended to, and now and then made anew beside the
 * old one, which it then replaces. A tail that was not written whole is cut off at the next start.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { messageOf } from "../errors.ts";
import type { Plan, ServicePlan } from "../plan/plan.ts";
import { decodeLine, encodeLine, FORMAT, type HistoryLine } from "./codec.ts";
import type { Outcome } from "./entry.ts";
import type { History, HistoryListener, KeptEntry, PastState } from "./history.ts";
import { PastReader } from "./replayed.ts";

const logger = getLogger(["switchyard", "history"]);

const FILE = "history";
const NEW_FILE = "history.new";
const LOCK_FILE = "history.lock";

/** A file is made anew when this much, or as much as it began with, has been appended. */
const APPENDED_BYTES = 16 << 20;
/** Characters that are written at a time, and lines between two looks at the event loop. */
const CHUNK = 1 << 18;
const BREATH = 200;

const NOTHING = Promise.resolve();

/** A folder that cannot be used; one line. */
export class StateDirError extends Error {
  override readonly name = "StateDirError";
}

/** Keeps a history in a folder, in the background. */
export class HistoryStore implements HistoryListener {
  readonly #folder: string;
  readonly #lock: Deno.FsFile;
  #file: Deno.FsFile | null = null;
  /** Bytes of the file when it was made, and appended since. */
  #baseBytes = 0;
  #appended = 0;
  /** The last entry in the file. */
  #lastId = 0;
  #history: History | null = null;
  #work: Promise<void> = Promise.resolve();
  #told = false;
  readonly #appendedBytes: number;

  private constructor(folder: string, lock: Deno.FsFile, appendedBytes: number) {
    this.#folder = folder;
    this.#lock = lock;
    this.#appendedBytes = appendedBytes;
  }

  /**
   * Takes a folder, which is made if it is not there, for this process alone, and reads the past in
   * it. What is damaged is said in the log, and left behind.
   *
   * @throws {StateDirError}
   */
  static async open(
    folder: string,
    appendedBytes = APPENDED_BYTES,
  ): Promise<{ readonly store: HistoryStore; readonly past: PastState }> {
    let lock: Deno.FsFile | null = null;
    try {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      lock = await Deno.open(`${folder}/${LOCK_FILE}`, { create: true, write: true });
      if (!await lock.tryLock(true)) throw new Error("another process keeps its state there");
      const store = new HistoryStore(folder, lock, appendedBytes);
      return { store, past: await store.#read() };
    } catch (error) {
      lock?.close();
      throw new StateDirError(`${folder}: ${reasonOf(error)}`);
    }
  }

  /** Follows a history from now on; what it has already is in the file. */
  follow(history: History): void {
    this.#history = history;
    history.listen(this);
  }

  added(kept: KeptEntry): void {
    const { before, entry } = kept;
    const plan = this.#history!.plan;
    const lines = function* (): Generator<HistoryLine> {
      for (const key of before.keys()) yield serviceLine(key, now.get(key) ?? null);
      if (node !== null) yield { node };
      yield { entry };
    };
    // The plan goes on changing; its Services don't.
    const now = new Map([...before.keys()].map((key) => [key, plan?.services.get(key) ?? null]));
    const node = entry.node ? plan?.node ?? null : null;
    this.#later(() => entry.id > this.#lastId ? this.#append(lines(), entry.id) : NOTHING);
  }

  tried(outcome: Outcome): void {
    const { id } = outcome;
    this.#later(() => id >= this.#lastId ? this.#append([{ outcome }], id) : NOTHING);
  }

  /** Resolves when everything so far is written, or could not be. */
  get written(): Promise<void> {
    return this.#work;
  }

  /** Lets go of the folder when everything is written. */
  async close(): Promise<void> {
    await this.#work;
    this.#file?.close();
    this.#file = null;
    this.#lock.close();
  }

  #later(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error) => {
      if (!this.#told) {
        const why = messageOf(error);
        logger.warn("the history is not kept in {folder}: {why}", { folder: this.#folder, why });
      }
      this.#told = true;
      // What is in the file now is not known: the next entry makes it anew.
      this.#file?.close();
      this.#file = null;
    });
  }

  async #append(lines: Iterable<HistoryLine>, id: number): Promise<void> {
    if (this.#file === null || this.#appended > Math.max(this.#appendedBytes, this.#baseBytes)) {
      return await this.#makeAnew();
    }
    this.#appended += await writeLines(this.#file, lines);
    this.#lastId = id;
  }

  /** Writes all that the history has to a new file, which takes the old one's place. */
  async #makeAnew(): Promise<void> {
    const snapshot = snapshotOf(this.#history!);
    const path = `${this.#folder}/${FILE}`;
    const newPath = `${this.#folder}/${NEW_FILE}`;
    const file = await Deno.open(newPath, {
      create: true,
      truncate: true,
      write: true,
      mode: 0o600,
    });
    let bytes: number;
    try {
      bytes = await writeLines(file, snapshotLines(snapshot));
      await file.syncData();
      await Deno.rename(newPath, path);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#file?.close();
    this.#file = file;
    this.#lastId = snapshot.entries.at(-1)?.kept.entry.id ?? snapshot.firstId - 1;
    this.#baseBytes = bytes;
    this.#appended = 0;
    if (this.#told) logger.info("the history is kept in {folder} again", { folder: this.#folder });
    this.#told = false;
  }

  async #read(): Promise<PastState> {
    const path = `${this.#folder}/${FILE}`;
    const reader = new PastReader();
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path, { read: true, write: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return reader.past;
      throw error;
    }
    const { size } = await file.stat();
    const whole = await readLines(file, reader);
    if (whole < size) {
      const what = { path, at: whole, lost: size - whole };
      logger.warn("{path}: what follows offset {at} is damaged: {lost} bytes are left out", what);
    }
    if (whole === 0) {
      file.close();
      return new PastReader().past;
    }
    await file.truncate(whole);
    await file.seek(whole, Deno.SeekMode.Start);
    this.#file = file;
    this.#baseBytes = whole;
    const { past } = reader;
    this.#lastId = past.nextId - 1;
    return past;
  }
}

/** Reads as far as lines are whole; the bytes behind which all that was taken is a state. */
async function readLines(file: Deno.FsFile, reader: PastReader): Promise<number> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK);
  let rest: Uint8Array = new Uint8Array();
  let at = 0;
  let whole = 0;
  for (;;) {
    const count = await file.read(chunk);
    if (count === null) return whole;
    const bytes = new Uint8Array(rest.length + count);
    bytes.set(rest);
    bytes.set(chunk.subarray(0, count), rest.length);
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      const line = decodeLine(decoder.decode(bytes.subarray(start, end)));
      const taken = line === null ? false : reader.take(line);
      if (taken === false) return whole;
      at += end + 1 - start;
      start = end + 1;
      if (taken === "whole") whole = at;
    }
    rest = bytes.subarray(start);
  }
}

/** Everything that a history has, as it is now. */
interface Snapshot {
  readonly base: Plan | null;
  readonly firstId: number;
  readonly entries: readonly {
    readonly kept: KeptEntry;
    /** What changed, as it was behind the entry. */
    readonly after: ReadonlyMap<string, ServicePlan | null>;
    readonly node: Plan["node"] | null;
  }[];
}

function snapshotOf(history: History): Snapshot {
  const { kept, plan } = history;
  const services = new Map(plan?.services);
  let node = plan?.node ?? null;
  const entries: Snapshot["entries"][number][] = [];
  for (const one of [...kept].reverse()) {
    const after = new Map([...one.before.keys()].map((key) => [key, services.get(key) ?? null]));
    entries.push({ kept: { ...one }, after, node: one.entry.node ? node : null });
    for (const [key, former] of one.before) {
      if (former === null) services.delete(key);
      else services.set(key, former);
    }
    if (one.entry.node) node = one.nodeBefore;
  }
  entries.reverse();
  return {
    base: node === null ? null : { node, services },
    firstId: kept.at(0)?.entry.id ?? 1,
    entries,
  };
}

function* snapshotLines({ base, firstId, entries }: Snapshot): Generator<HistoryLine> {
  yield { format: FORMAT };
  for (const service of base?.services.values() ?? []) yield { service };
  if (base !== null) yield { node: base.node };
  yield { base: firstId };
  for (const { kept, after, node } of entries) {
    for (const [key, plan] of after) yield serviceLine(key, plan);
    if (node !== null) yield { node };
    yield { entry: kept.entry };
  }
}

function serviceLine(key: string, plan: ServicePlan | null): HistoryLine {
  return plan === null ? { gone: key } : { service: plan };
}

/** Bytes that were written. */
async function writeLines(file: Deno.FsFile, lines: Iterable<HistoryLine>): Promise<number> {
  const encoder = new TextEncoder();
  let written = 0;
  let text = "";
  let count = 0;
  const flush = async () => {
    const bytes = encoder.encode(text);
    text = "";
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    written += bytes.length;
  };
  for (const line of lines) {
    text += encodeLine(line);
    if (text.length >= CHUNK || ++count % BREATH === 0) await flush();
  }
  await flush();
  return written;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotCapable) return "this process may not write there";
  return messageOf(error);
}

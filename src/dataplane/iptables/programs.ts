/**
 * The iptables programs of a node, and running them.
 *
 * Two implementations may be installed, which do not see each other's rules: legacy (xtables) and
 * nft (nf_tables). Everything on a node has to use the same one.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { NetworkNamespace } from "../../linux/namespace.ts";
import { widenStdin } from "../../linux/pipe.ts";
import { readSpecialFile } from "../../linux/special_file.ts";
import type { Family } from "../../net/address.ts";

/** An implementation of iptables. */
export type Backend = "nft" | "legacy";

/** The programs of one implementation. */
export interface Programs {
  readonly backend: Backend;
  /** "-nft" or "-legacy", or "" where the programs have no such names. */
  readonly suffix: "-nft" | "-legacy" | "";
  /** As in [1, 8, 9]. */
  readonly version: readonly number[];
}

/** What a program did. */
export interface Execution {
  readonly code: number;
  /** Name of the signal that killed it, null when it ended by itself. */
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Beyond this a program hangs: the slowest, iptables-restore of 10,000 Services, needs a minute. */
const TIMEOUT_MS = 600_000;

/** Runs programs in a network namespace. */
export class ProgramRunner {
  constructor(
    /** Null: the one that this process is in. */
    readonly namespace: NetworkNamespace | null = null,
    readonly timeoutMs = TIMEOUT_MS,
  ) {}

  /** Calls a synchronous function in the namespace. */
  inside<T>(fn: () => T): T {
    return this.namespace === null ? fn() : this.namespace.run(fn);
  }

  /**
   * Runs a program to its end. Rejects with `Deno.errors.NotFound` when there is none of that name,
   * and with `Deno.errors.TimedOut` when it had to be killed.
   *
   * @param input a text, or pieces that are made while the program reads those before; an empty one
   * is a moment to go on writing. What making one throws is thrown when the program has ended.
   * @param take is told what the program prints, in pieces as it comes, and nothing of it is in the
   * result. What it throws is thrown when the program has ended, which it does when it prints more.
   */
  async run(
    program: string,
    args: readonly string[],
    input?: string | Iterable<string>,
    take?: (piece: string) => void,
  ): Promise<Execution> {
    const signal = AbortSignal.timeout(this.timeoutMs);
    const command = new Deno.Command(program, {
      args: [...args],
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      signal,
    });
    const child = this.inside(() => spawn(program, command));
    if (input !== undefined) widenStdin(child.pid);
    const printed: string[] = [];
    const complaints: string[] = [];
    const [ended, ...others] = await Promise.allSettled([
      child.status,
      passText(child.stdout, take ?? ((piece) => printed.push(piece))),
      passText(child.stderr, (piece) => complaints.push(piece)),
      input === undefined ? undefined : feed(child.stdin, input),
    ]);
    if (ended.status === "rejected") throw ended.reason;
    for (const other of others) if (other.status === "rejected") throw other.reason;
    const { code, signal: killedBy } = ended.value;
    if (signal.aborted) {
      throw new Deno.errors.TimedOut(
        `${program} was killed: it did not end in ${this.timeoutMs / 1000} s`,
      );
    }
    return { code, signal: killedBy, stdout: printed.join(""), stderr: complaints.join("") };
  }
}

async function passText(
  stream: ReadableStream<Uint8Array>,
  take: (piece: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  // Leaving the loop closes the pipe.
  for await (const bytes of stream) take(decoder.decode(bytes, { stream: true }));
  take(decoder.decode());
}

function spawn(program: string, command: Deno.Command): Deno.ChildProcess {
  try {
    return command.spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(`${program} is not installed`, { cause: error });
  }
}

/**
 * Writes all of the input, and has it made while the program works on what it has got. A program that
 * stops reading tells why by its exit status.
 */
async function feed(
  stdin: WritableStream<Uint8Array>,
  input: string | Iterable<string>,
): Promise<void> {
  const writer = stdin.getWriter();
  const encoder = new TextEncoder();
  /** Of each part that was written, the oldest first. */
  const writes: Promise<void>[] = [];
  let unread = 0;
  let failure: unknown = null;
  try {
    for (const piece of typeof input === "string" ? [input] : input) {
      for (const part of inParts(piece)) {
        unread++;
        const done = writer.write(encoder.encode(part)).then(() => {
          unread--;
        }, (error) => {
          failure ??= error;
        });
        if (writes.push(done) > PARTS_WAITING) await writes.shift();
        if (failure !== null) throw failure;
      }
      if (unread > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await writes.at(-1);
    if (failure !== null) throw failure;
    await writer.close();
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return;
    await writer.abort(error).catch(() => {});
    throw error;
  }
}

/** Characters that are written at once. */
const PART = 1 << 16;
/** Parts that wait to be read by a program before more of its input is made. */
const PARTS_WAITING = 16;

/** Characters that wait to be read by a program, but for the ends of lines at the ends of parts. */
export const MOST_WAITING = PARTS_WAITING * PART;

/** A text in pieces that end with a line. */
export function* inParts(text: string, size = PART): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = text.indexOf("\n", start + size - 1);
    const next = end < 0 ? text.length : end + 1;
    yield text.slice(start, next);
    start = next;
  }
}

/** Name of a program: "ip6tables-nft-restore". */
export function programName(
  programs: Pick<Programs, "suffix">,
  family: Family,
  tool: "" | "-save" | "-restore",
): string {
  return `${family === "IPv4" ? "iptables" : "ip6tables"}${programs.suffix}${tool}`;
}

/** Every implementation that is installed, nft first. */
export async function installedPrograms(runner: ProgramRunner): Promise<Programs[]> {
  const named = await Promise.all([probe(runner, "-nft"), probe(runner, "-legacy")]);
  const found = named.filter((programs) => programs !== null);
  if (found.length > 0) return found;
  const plain = await probe(runner, "");
  return plain === null ? [] : [plain];
}

async function probe(
  runner: ProgramRunner,
  suffix: Programs["suffix"],
): Promise<Programs | null> {
  let output: Execution;
  try {
    output = await runner.run(programName({ suffix }, "IPv4", ""), ["--version"]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  const [, version, backend] = /v(\d+(?:\.\d+)*)(?: \((\w+)\))?/.exec(output.stdout) ?? [];
  if (version === undefined) return null;
  return {
    backend: backend === "nf_tables" ? "nft" : "legacy",
    suffix,
    version: version.split(".").map(Number),
  };
}

/** Whether a version is that or later. */
export function atLeast(version: readonly number[], wanted: readonly number[]): boolean {
  for (let i = 0; i < wanted.length; i++) {
    const part = version[i] ?? 0;
    if (part !== wanted[i]) return part > wanted[i];
  }
  return true;
}

/** Chains by which the kubelet shows which implementation it uses. */
const HINTS = /^:KUBE-(IPTABLES-HINT|KUBELET-CANARY) /m;

/**
 * The implementation that this node uses: the one that is installed, else the one in which the
 * kubelet left its mark, else the one with more rules, else nft. As in Kubernetes' iptables-wrapper.
 * Legacy programs are not asked where the kernel has no legacy tables, because asking makes them.
 * Throws an Error when there is none, or legacy tables cannot be read: the kubelet's mark may be there.
 */
export async function detectPrograms(runner: ProgramRunner): Promise<Programs> {
  const found = await installedPrograms(runner);
  if (found.length === 0) throw new Error("iptables is not installed");
  const nft = found.find((programs) => programs.backend === "nft");
  const legacy = found.find((programs) => programs.backend === "legacy");
  if (nft === undefined || legacy === undefined) return found[0];
  if (!hasLegacyTables(runner)) return nft;
  const { stdout: inNft } = await saved(runner, nft);
  if (HINTS.test(inNft)) return nft;
  const { code, stdout: inLegacy, stderr } = await saved(runner, legacy);
  if (code !== 0) {
    const [reason] = stderr.split("\n");
    throw new Error(
      `the node has tables of legacy iptables, which cannot be read: ${reason} ` +
        `(exit status ${code}); that takes CAP_NET_ADMIN and CAP_NET_RAW`,
    );
  }
  if (HINTS.test(inLegacy)) return legacy;
  return countRules(inLegacy) > countRules(inNft) ? legacy : nft;
}

/** The implementation that was asked for, else the node's. Throws an Error when there is none. */
export async function findPrograms(runner: ProgramRunner, backend?: Backend): Promise<Programs> {
  if (backend === undefined) return await detectPrograms(runner);
  const found = (await installedPrograms(runner)).find((programs) => programs.backend === backend);
  if (found === undefined) throw new Error(`iptables with ${backend} is not installed`);
  return found;
}

function saved(runner: ProgramRunner, programs: Programs): Promise<Execution> {
  return runner.run(programName(programs, "IPv4", "-save"), []);
}

function countRules(text: string): number {
  return text.match(/^-A /gm)?.length ?? 0;
}

/** Whether the kernel has tables of legacy iptables in the namespace. */
export function hasLegacyTables(runner: ProgramRunner): boolean {
  return runner.inside(() =>
    ["ip_tables_names", "ip6_tables_names"].some((name) =>
      (readSpecialFile(`/proc/thread-self/net/${name}`) ?? "") !== ""
    )
  );
}

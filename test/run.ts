/**
 * Runs the whole suite and sums it up: every failed test, every skipped one with its reason, then, as
 * the last line, `N passed, N failed, N skipped`. Exits 1 when a test failed, when nothing ran, or,
 * with `--no-skips`, when one was skipped; `--no-skips=TEXT` excuses those whose reason contains the
 * text. Further arguments go to `deno test`.
 *
 * Many tests wait most of the time: for virtual machines, programs, silence. So there are parts that
 * run beside each other, one more than there are processors, each in a process of its own.
 *
 * @module
 */

/** What `deno test` reported, from its output. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  /** Failed tests and steps, with the places where they are. */
  readonly failures: readonly string[];
  /** Names of the ignored tests; each carries its reason. */
  readonly skipped: readonly string[];
}

/** Reads the counts from the output of `deno test`; null when it has no closing line. */
export function summarise(output: string): Summary | null {
  const closing = /(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/.exec(output);
  if (closing === null) return null;
  const [, failures = ""] = output.split("\n FAILURES \n", 2);
  return {
    passed: Number(closing[1]),
    failed: Number(closing[2]),
    failures: [...failures.matchAll(/^.+ => \.\/\S+$/gm)].map(([line]) => line),
    skipped: [...output.matchAll(/^(.+) \.\.\. ignored \(/gm)].map((match) => match[1]),
  };
}

/** Test files that run one after another in one process. */
export interface Part {
  readonly name: string;
  readonly files: readonly string[];
}

/** The parts that take longest, a minute or so each, the longest first: they begin first. */
const LONG_PARTS = [
  "test/scenarios/ipvs_test.ts",
  "test/integration/vm/",
  "test/scenarios/",
  "test/commands/",
  "test/dataplane/",
  "test/cluster/",
  "test/integration/iptables/killed_test.ts",
  "test/integration/iptables/",
  "test/integration/agent/",
  "test/api/",
  "test/deploy/",
  "test/explain/",
  "test/lab/",
];

/** Puts each file into the first of the long parts that it is of, or into that of its folder. */
export function partsOf(
  files: readonly string[],
  longParts: readonly string[] = LONG_PARTS,
): Part[] {
  const parts = new Map(longParts.map((name): [string, string[]] => [name, []]));
  for (const file of files) {
    const name = longParts.find((part) => file.startsWith(part)) ??
      file.slice(0, file.indexOf("/", "test/".length) + 1);
    const part = parts.get(name);
    if (part === undefined) parts.set(name, [file]);
    else part.push(file);
  }
  return [...parts].filter(([, own]) => own.length > 0)
    .map(([name, own]) => ({ name: name === "" ? "test/*" : name, files: own }));
}

/** All test files below a folder, sorted. */
function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return testFiles(`${folder}/${name}`);
    return /_test\.tsx?$/.test(name) ? [`${folder}/${name}`] : [];
  }).sort();
}

/** Loaded before every test. */
const FIXED_SEED = "test/fixed_seed.ts";

/** How one process of `deno test` ended. */
interface Run {
  readonly success: boolean;
  /** Null when it did not get to its end. */
  readonly summary: Summary | null;
}

/** Runs `deno test`; its output is passed on as it comes, or at the end as a whole, with a title. */
async function runTests(
  args: readonly string[],
  options: { readonly title?: string; readonly env?: Record<string, string> } = {},
): Promise<Run> {
  const { title, env = {} } = options;
  const since = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    // The browser's driver looks into /proc, which nothing less allows.
    args: ["test", "--allow-all", "--no-check", `--preload=${FIXED_SEED}`, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    if (title === undefined) await writeAll(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  if (title !== undefined) {
    const seconds = Math.round((performance.now() - since) / 1000);
    await writeAll(encoder.encode(`${title} (${seconds} s)\n${text}\n`));
  }
  return { success: (await child.status).success, summary: summarise(text) };
}

/** Runs the parts, so many at a time. */
async function runParts(parts: readonly Part[], args: readonly string[]): Promise<Run[]> {
  const folder = await Deno.makeTempDir({ prefix: "switchyard-test-" });
  const runs: Run[] = [];
  const waiting = [...parts.entries()];
  const runInTurn = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [number, { name, files }] = next;
      // The rules of legacy iptables are namespaces' own; its lock is the machine's, unless told.
      const env = { XTABLES_LOCKFILE: `${folder}/xtables.${number}.lock` };
      runs.push(await runTests([...args, ...files], { title: name, env }));
    }
  };
  try {
    await Promise.all(Array.from({ length: navigator.hardwareConcurrency + 1 }, runInTurn));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return runs;
}

const encoder = new TextEncoder();

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

async function main(args: readonly string[]): Promise<number> {
  const noSkips = args.find((argument) => /^--no-skips(=|$)/.test(argument));
  const excused = noSkips?.slice("--no-skips=".length) ?? "";
  const rest = args.filter((argument) => argument !== noSkips);
  const runs = rest.some((argument) => !argument.startsWith("-"))
    ? [await runTests(rest)]
    : await runParts(partsOf(testFiles("test")), rest);
  let [passed, failed] = [0, 0];
  const failures: string[] = [];
  const skipped: string[] = [];
  for (const { success, summary } of runs) {
    passed += summary?.passed ?? 0;
    failed += summary?.failed ?? 0;
    failures.push(...summary?.failures ?? []);
    skipped.push(...summary?.skipped ?? []);
    if (success || (summary?.failed ?? 0) > 0) continue;
    failed++;
    failures.push("deno test itself failed");
  }
  const lines = [
    ...listed("failed:", failures),
    ...listed("skipped:", skipped),
    `${passed} passed, ${failed} failed, ${skipped.length} skipped`,
    "",
  ];
  await writeAll(encoder.encode(lines.join("\n")));
  if (runs.some(({ success }) => !success) || passed === 0) return 1;
  const inexcusable = skipped.filter((name) => excused === "" || !name.includes(excused));
  return noSkips !== undefined && inexcusable.length > 0 ? 1 : 0;
}

function listed(title: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [title, ...items.map((item) => `  ${item}`)];
}

if (import.meta.main) Deno.exit(await main(Deno.args));

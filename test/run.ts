/**
 * Runs the whole suite and sums it up: every skipped test with its reason, then, as the last line,
 * `N passed, N failed, N skipped`. Exits 1 when a test failed, when nothing ran, or, with
 * `--no-skips`, when one was skipped; `--no-skips=TEXT` excuses those whose reason contains the
 * text. Further arguments go to `deno test`.
 *
 * @module
 */

/** What `deno test` reported, from its output. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  /** Names of the ignored tests; each carries its reason. */
  readonly skipped: readonly string[];
}

/** Reads the counts from the output of `deno test`; null when it has no closing line. */
export function summarise(output: string): Summary | null {
  const closing = /(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/.exec(output);
  if (closing === null) return null;
  const skipped = [...output.matchAll(/^(.+) \.\.\. ignored \(/gm)].map((match) => match[1]);
  return { passed: Number(closing[1]), failed: Number(closing[2]), skipped };
}

/**
 * Tests in virtual machines, which wait for their kernel most of the time and share nothing with the
 * others: they run beside them.
 */
const MACHINE_TESTS = [
  "test/dataplane/ipvs/dataplane_test.ts",
  "test/deploy/restricted_node_test.ts",
  "test/integration/ipvs_netlink_test.ts",
  "test/integration/vm/",
  "test/scenarios/ipvs_test.ts",
];

/** Loaded before every test. */
const FIXED_SEED = "test/fixed_seed.ts";

/** How one process of `deno test` ended. */
interface Run {
  readonly success: boolean;
  /** Null when it did not get to its end. */
  readonly summary: Summary | null;
}

/** Runs `deno test`; its output is passed on as it comes, or at the end as a whole. */
async function runTests(args: readonly string[], output: "live" | "whole"): Promise<Run> {
  const child = new Deno.Command(Deno.execPath(), {
    // The browser's driver looks into /proc, which nothing less allows.
    args: ["test", "--allow-all", "--no-check", `--preload=${FIXED_SEED}`, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    if (output === "live") await writeAll(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  if (output === "whole") await writeAll(encoder.encode(text));
  return { success: (await child.status).success, summary: summarise(text) };
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
    ? [await runTests(rest, "live")]
    : await Promise.all([
      runTests([...rest, `--ignore=${MACHINE_TESTS.join(",")}`, "test/"], "live"),
      runTests([...rest, ...MACHINE_TESTS], "whole"),
    ]);
  let [passed, failed] = [0, 0];
  const skipped: string[] = [];
  const lines: string[] = [];
  for (const { success, summary } of runs) {
    passed += summary?.passed ?? 0;
    failed += summary?.failed ?? 0;
    skipped.push(...summary?.skipped ?? []);
    if (success || (summary?.failed ?? 0) > 0) continue;
    failed++;
    lines.push("deno test itself failed");
  }
  if (skipped.length > 0) lines.push("skipped:", ...skipped.map((name) => `  ${name}`));
  lines.push(`${passed} passed, ${failed} failed, ${skipped.length} skipped`, "");
  await writeAll(encoder.encode(lines.join("\n")));
  if (runs.some(({ success }) => !success) || passed === 0) return 1;
  const inexcusable = skipped.filter((name) => excused === "" || !name.includes(excused));
  return noSkips !== undefined && inexcusable.length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));

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

async function main(args: readonly string[]): Promise<number> {
  const noSkips = args.find((argument) => /^--no-skips(=|$)/.test(argument));
  const excused = noSkips?.slice("--no-skips=".length) ?? "";
  const rest = args.filter((argument) => argument !== noSkips);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      // The browser's driver looks into /proc, which nothing less allows.
      "--allow-all",
      "--no-check",
      ...(rest.some((argument) => !argument.startsWith("-")) ? rest : [...rest, "test/"]),
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const status = await child.status;
  const summary = summarise(output);
  const lines: string[] = [];
  if (summary !== null && summary.skipped.length > 0) {
    lines.push("skipped:", ...summary.skipped.map((name) => `  ${name}`));
  }
  const { passed, failed, skipped } = summary ?? { passed: 0, failed: 0, skipped: [] };
  const crashed = !status.success && failed === 0;
  if (crashed) lines.push(`deno test itself failed with exit status ${status.code}`);
  lines.push(
    `${passed} passed, ${failed + (crashed ? 1 : 0)} failed, ${skipped.length} skipped`,
    "",
  );
  await Deno.stdout.write(new TextEncoder().encode(lines.join("\n")));
  if (!status.success || passed === 0) return 1;
  const inexcusable = skipped.filter((name) => excused === "" || !name.includes(excused));
  return noSkips !== undefined && inexcusable.length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));

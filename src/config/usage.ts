/**
 * Bad usage of the command line.
 *
 * @module
 */

/** Bad usage or input: one line that names the flag or argument, its value and what was expected. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** For commands that take only flags. @throws {UsageError} when anything else was typed. */
export function refuseArguments(
  line: { readonly positionals: readonly string[]; readonly rest: readonly string[] | null },
): void {
  const unexpected = line.positionals[0] ?? line.rest?.[0];
  if (unexpected === undefined) return;
  throw new UsageError(`unexpected argument ${JSON.stringify(unexpected)}: expected only flags`);
}

/**
 * Of the known names, the nearest to a mistyped one by edit distance, or null when none is near
 * enough to be meant.
 */
export function nearestName(typed: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(typed.length, Math.max(2, Math.floor(typed.length / 3)) + 1);
  for (const name of known) {
    const distance = editDistance(typed, name);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** Levenshtein distance: insertions, deletions and substitutions cost one each. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}

/**
 * Names of the numbers in messages.
 *
 * @module
 */

/** Two ways between names and numbers; a number without a name stands for itself. */
export interface Names<N extends string> {
  number(name: N | number): number;
  name(number: number): N | number;
}

/** Names by a table; each number has one name. */
export function names<N extends string>(table: Readonly<Record<N, number>>): Names<N> {
  const byNumber = new Map(Object.entries<number>(table).map(([name, n]) => [n, name as N]));
  return {
    number: (name) => typeof name === "number" ? name : table[name],
    name: (number) => byNumber.get(number) ?? number,
  };
}

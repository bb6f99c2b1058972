/**
 * Text in one piece. V8 keeps what a template or `+` puts together as a tree of its parts, and
 * JSON.stringify takes a much slower way from the first such string on: what is written into many
 * answers is better put together once.
 *
 * @module
 */

/** A template's tag: the same text, in one piece. */
export function flat(literals: TemplateStringsArray, ...values: (string | number)[]): string {
  const parts: (string | number)[] = [literals[0]];
  for (let i = 0; i < values.length; i++) parts.push(values[i], literals[i + 1]);
  return parts.join("");
}

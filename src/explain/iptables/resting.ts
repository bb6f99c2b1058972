/**
 * What an answer rests on of rendered rules: as long as the chains that its packet has been through
 * are the same, it is the same answer, but for the lines that they stand in.
 *
 * @module
 */

import type { Place, RenderedSource } from "./rendered_source.ts";

/** The chains of each table that a packet has been through, in the order in which it got there. */
export type AskedChains = ReadonlyMap<string, ReadonlySet<string>>;

/** Chains that stand together, by the first of them that was asked. */
interface AskedPlace extends Place {
  readonly table: string;
  readonly chain: string;
}

/** What an answer rests on, in the order of its lines. */
export type Resting = readonly AskedPlace[];

/** What an answer rests on whose packet has been through these chains. */
export function restingOn(sources: readonly RenderedSource[], asked: AskedChains): Resting {
  const places: AskedPlace[] = [];
  for (const source of sources) {
    const known = new Set<object>();
    for (const chain of asked.get(source.name) ?? []) {
      const place = source.place(chain);
      if (place === null || known.has(place.content)) continue;
      known.add(place.content);
      places.push({ table: source.name, chain, content: place.content, line: place.line });
    }
  }
  return places.sort((a, b) => a.line - b.line);
}

/**
 * The same in rules that were rendered later: the same list where no line is another; null when any
 * of the rules are.
 */
export function restingIn(sources: readonly RenderedSource[], then: Resting): Resting | null {
  let moved = false;
  for (const asked of then) {
    const place = placeOf(sources, asked);
    if (place?.content !== asked.content) return null;
    if (place.line !== asked.line) moved = true;
  }
  if (!moved) return then;
  return then.map((asked) => ({ ...asked, line: placeOf(sources, asked)!.line }));
}

function placeOf(sources: readonly RenderedSource[], { table, chain }: AskedPlace): Place | null {
  for (const source of sources) if (source.name === table) return source.place(chain);
  return null;
}

/** Where lines have gone; null: nowhere. */
export function lineMoves(then: Resting, now: Resting): ((line: number) => number) | null {
  if (then === now) return null;
  return (line) => {
    const at = then.findLastIndex((place) => place.line <= line);
    return at < 0 ? line : line + now[at].line - then[at].line;
  };
}

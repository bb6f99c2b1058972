/**
 * The elements of a set or map, found by what a packet has. Single values are looked up, however
 * many there are; networks, ranges and wildcards are gone through.
 *
 * @module
 */

import type { Element, Value } from "../../dataplane/nftables/language/ast.ts";
import { holds, type Known, token } from "./compare.ts";

/** What a lookup comes to: an element, null for none, "unknown" when it cannot be said. */
export type Found = Element | null | "unknown";

/** What a set is called. */
export interface NamedIndex {
  readonly name: string;
  /** With its table. */
  readonly title: string;
  /** Whether packets put elements in. */
  readonly dynamic: boolean;
}

/** Elements by their keys. */
export class SetIndex {
  readonly #single = new Map<string, Element>();
  readonly #several: Element[] = [];
  #rest: Element | null = null;

  /**
   * @param types of the keys' parts.
   * @param named null for an anonymous set.
   */
  constructor(
    elements: readonly Element[],
    readonly types: readonly string[],
    readonly named: NamedIndex | null = null,
  ) {
    for (const element of elements) {
      const { key } = element;
      const text = keyToken(key, types);
      if (text !== null) this.#single.set(text, element);
      else if (key.kind === "wildcard") this.#rest = element;
      else this.#several.push(element);
    }
  }

  find(known: Known): Found {
    const single = this.#single.get(knownToken(known));
    if (single !== undefined) return single;
    let doubt = false;
    for (const element of this.#several) {
      const held = holds(known, element.key, this.types);
      if (held === true) return element;
      if (held === null) doubt = true;
    }
    return doubt ? "unknown" : this.#rest;
  }
}

function keyToken(key: Value, types: readonly string[]): string | null {
  if (key.kind !== "concat") return token(key, types[0] ?? "other");
  const parts: string[] = [];
  for (let i = 0; i < key.parts.length; i++) {
    const part = token(key.parts[i], types[i] ?? "other");
    if (part === null) return null;
    parts.push(part);
  }
  return parts.join(" . ");
}

/** The key under which single values are found. */
export function knownToken(known: Known): string {
  return typeof known === "object" ? known.map(knownToken).join(" . ") : String(known);
}

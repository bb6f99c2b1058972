/**
 * userspace mode's rule set for programs and for people.
 *
 * @module
 */

import type { Capture, UserspaceRules } from "./render.ts";

/** The rule set as plain data. */
export interface RoutingStructure {
  /** Addresses routed to the engine, with the source of the node's own connections to them. */
  readonly routes: readonly { readonly address: string; readonly source: string | null }[];
  readonly captures: readonly Capture[];
}

/** The structure of a rule set. */
export function routingStructure(rules: UserspaceRules): RoutingStructure {
  return {
    routes: [...rules.routes].map(([address, source]) => ({ address, source })),
    captures: [...rules.captures.values()],
  };
}

/** The host routes and captured ports that lead to the engine, one a line. */
export function routingText(rules: UserspaceRules): string {
  const lines = [
    ...[...rules.routes].map(([address, source]) => routeLine(address, source)),
    ...[...rules.captures.keys()].map(captureLine),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** The line of a route. */
export function routeLine(address: string, source: string | null): string {
  return `route ${address}${source === null ? "" : ` source ${source}`}`;
}

/** The line of a capture, by its key. */
export function captureLine(key: string): string {
  return `capture ${key}`;
}

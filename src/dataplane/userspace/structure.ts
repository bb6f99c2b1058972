/**
 * userspace mode's rule set for programs and for people.
 *
 * @module
 */

import { type Capture, captureKey, diff, type UserspaceRules } from "./render.ts";

/** The rule set as plain data. */
export interface RoutingStructure {
  /** Addresses routed to the engine, with the source of the node's own connections to them. */
  readonly routes: readonly { readonly address: string; readonly source: string | null }[];
  /** The source of the node's own IPv4 connections to captured ports. */
  readonly captureSource: string | null;
  readonly captures: readonly Capture[];
}

/** The structure of a rule set. */
export function routingStructure(rules: UserspaceRules): RoutingStructure {
  return {
    routes: [...rules.routes].map(([address, source]) => ({ address, source })),
    captureSource: rules.captureSource,
    captures: [...rules.captures.values()],
  };
}

/** The host routes and captured ports that lead to the engine, one a line. */
export function routingText(rules: UserspaceRules): string {
  const lines = [
    ...[...rules.routes].map(([address, source]) => routeLine(address, source)),
    ...captureSourceLines(rules),
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

/** The line of the source of captures, if there is one. */
export function captureSourceLines({ captureSource }: UserspaceRules): string[] {
  return captureSource === null ? [] : [`captures source ${captureSource}`];
}

/** The lines of routes and captures that a step from one rule set to another adds and removes. */
export function routingChange(
  from: UserspaceRules,
  to: UserspaceRules,
): { readonly added: readonly string[]; readonly removed: readonly string[] } {
  const { addRoutes, captureSource, addCaptures, removeRoutes, removeCaptures } = diff(from, to);
  const replaced = addRoutes.map(([address]) => address).filter((one) => from.routes.has(one));
  return {
    added: [
      ...addRoutes.map(([address, source]) => routeLine(address, source)),
      ...(captureSource === undefined ? [] : captureSourceLines(to)),
      ...addCaptures.map((capture) => captureLine(captureKey(capture))),
    ],
    removed: [
      ...[...removeRoutes, ...replaced].map((address) =>
        routeLine(address, from.routes.get(address)!)
      ),
      ...(captureSource === undefined ? [] : captureSourceLines(from)),
      ...removeCaptures.map((capture) => captureLine(captureKey(capture))),
    ],
  };
}

/**
 * What someone changed of the routing to the engine behind our back.
 *
 * @module
 */

import type { Difference } from "../dataplane.ts";
import { captureKey, diff, type UserspaceRules } from "./render.ts";
import { captureLine, captureSourceLines, routeLine } from "./structure.ts";

/** Every route and captured port that the node has otherwise than it should. */
export function findDifferences(node: UserspaceRules, desired: UserspaceRules): Difference[] {
  const { addRoutes, captureSource, addCaptures, removeRoutes, removeCaptures } = diff(
    node,
    desired,
  );
  const missing = (line: string): Difference => ({
    where: line,
    problem: "missing",
    found: [],
    expected: [line],
  });
  const unexpected = (line: string): Difference => ({
    where: line,
    problem: "unexpected",
    found: [line],
    expected: [],
  });
  return [
    ...addRoutes.map(([address, source]): Difference => {
      const found = node.routes.get(address);
      const line = routeLine(address, source);
      if (found === undefined) return missing(line);
      const where = `route ${address}`;
      return { where, problem: "changed", found: [routeLine(address, found)], expected: [line] };
    }),
    ...(captureSource === undefined ? [] : [sourceDifference(node, desired)]),
    ...addCaptures.map((capture) => missing(captureLine(captureKey(capture)))),
    ...removeRoutes.map((address) => unexpected(routeLine(address, node.routes.get(address)!))),
    ...removeCaptures.map((capture) => unexpected(captureLine(captureKey(capture)))),
  ];
}

function sourceDifference(node: UserspaceRules, desired: UserspaceRules): Difference {
  const [found, expected] = [captureSourceLines(node), captureSourceLines(desired)];
  const problem = found.length === 0 ? "missing" : expected.length === 0 ? "unexpected" : "changed";
  return { where: "captures", problem, found, expected };
}

/**
 * Rules as steps tell them. Long sets are cut: a rule that leads to a thousand endpoints is part of
 * the way to each of them.
 *
 * @module
 */

import type {
  Element,
  Expression,
  Rule,
  Statement,
  Value,
} from "../../dataplane/nftables/language/ast.ts";
import { printRule } from "../../dataplane/nftables/language/print.ts";

/** Elements of a set that are told; of one with more, one less, and how many there are besides. */
const MOST_ELEMENTS = 4;

/** The rule as nft lists it, but for the elements of long sets. */
export function ruleText(rule: Rule): string {
  return printRule({ ...rule, statements: rule.statements.map(cutStatement) });
}

function cutStatement(statement: Statement): Statement {
  switch (statement.kind) {
    case "match":
      return { ...statement, right: cutSet(statement.right) };
    case "vmap":
      return { ...statement, map: cutSet(statement.map) };
    case "mangle":
      return { ...statement, value: cutExpression(statement.value) };
    case "nat": {
      const { address, port } = statement;
      return {
        ...statement,
        address: address === null ? null : cutExpression(address),
        port: port === null ? null : cutExpression(port),
      };
    }
    default:
      return statement;
  }
}

function cutExpression(expression: Expression): Expression {
  return expression.kind === "map" ? { ...expression, map: cutSet(expression.map) } : expression;
}

function cutSet<T extends Value>(value: T): T {
  if (value.kind !== "set" || value.elements.length <= MOST_ELEMENTS) return value;
  const { elements } = value;
  const told = elements.slice(0, MOST_ELEMENTS - 1);
  const rest: Element = {
    ...elements[0],
    key: { kind: "symbol", name: `... ${elements.length - told.length} more` },
    data: null,
    comment: null,
  };
  return { ...value, elements: [...told, rest] };
}

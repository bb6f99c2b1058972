/**
 * Whether two parts of a table are the same, whoever wrote or read them.
 *
 * @module
 */

import type { AnonymousSet, Chain, Element, Rule } from "./language/ast.ts";
import type { SetDeclaration } from "./transaction.ts";

/** Whether two rules do the same and say the same of it. */
export function isSameRule(one: Rule, other: Rule): boolean {
  return one.comment === other.comment && isSame(one.statements, other.statements);
}

/** Whether they are the same rules in the same order. */
export function haveSameRules(one: readonly Rule[], other: readonly Rule[]): boolean {
  return one.length === other.length &&
    one.every((rule, index) => isSameRule(rule, other[index]));
}

/** Whether a chain can be made of another by its rules alone. */
export function isSameBase(one: Chain["base"], other: Chain["base"]): boolean {
  return isSame(one, other);
}

/** Whether elements of the same key lead to the same. */
export function isSameElement(one: Element, other: Element): boolean {
  return one.comment === other.comment && isSame(one.data, other.data);
}

/** Whether a set is of the same type, and forgets its elements after the same time. */
export function isSameSet(one: SetDeclaration, other: SetDeclaration): boolean {
  return one.timeout === other.timeout && isSame(one.key, other.key) &&
    isSame(one.data, other.data) && isSame([...one.flags].sort(), [...other.flags].sort());
}

/** Text of an element's key, which is the same for the same key. */
export function keyText(element: Element): string {
  return JSON.stringify(element.key);
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) {
    return false;
  }
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length &&
      one.every((item, index) => isSame(item, other[index]));
  }
  if (isAnonymousSet(one) && isAnonymousSet(other)) return isSameContent(one, other);
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length &&
    keys.every((key) => isSame(Reflect.get(one, key), Reflect.get(other, key)));
}

function isAnonymousSet(value: object): value is AnonymousSet {
  return "kind" in value && value.kind === "set";
}

/** Elements of a set have no order. */
function isSameContent(one: AnonymousSet, other: AnonymousSet): boolean {
  if (one.elements.length !== other.elements.length) return false;
  const elements = new Map(other.elements.map((element) => [keyText(element), element]));
  return one.elements.every((element) => {
    const twin = elements.get(keyText(element));
    return twin !== undefined && isSameElement(element, twin);
  });
}

/**
 * wrr, ip_vs_wrr.c: walks the list again and again; in every walk those members take part whose
 * weight is at least `enough`, which falls in steps of the weights' greatest common divisor.
 */

import { memberAt, NONE, Pool, stepAt, steps } from "../tables/pools";

/** Greatest common divisor; 0 has no part in it. */
export function gcd(a: u32, b: u32): u32 {
  while (b != 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

function setWeights(pool: Pool, divisor: u32, greatest: u32): void {
  pool.step = divisor == 0 ? 1 : divisor;
  pool.highest = <i32>greatest - (pool.step - 1);
}

/** Begins with the list as it is. */
export function bindWrr(pool: Pool): void {
  let divisor: u32 = 0;
  let greatest: u32 = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    divisor = gcd(memberAt(pool, i).weight, divisor);
    greatest = max(greatest, memberAt(pool, i).weight);
  }
  setWeights(pool, divisor, greatest);
  pool.position = 0;
  pool.enough = pool.highest;
}

/**
 * Follows the last change of the list step by step: `enough` is carried through each of them. What
 * the weights have in common after a step comes from three parts: members that never changed,
 * steps done, steps to come.
 */
export function followWrr(pool: Pool): void {
  if (steps == 0) return;
  let divisor: u32 = 0;
  let greatest: u32 = 0;
  // Steps to come, from the last one back.
  for (let i = steps; i-- > 0;) {
    const step = stepAt(i);
    step.note0 = divisor;
    step.note1 = greatest;
    divisor = gcd(step.before, divisor);
    greatest = max(greatest, step.before);
  }
  divisor = unchangedDivisor(pool);
  greatest = unchangedGreatest;
  for (let i: u32 = 0; i < steps; i++) {
    const step = stepAt(i);
    divisor = gcd(step.after, divisor);
    greatest = max(greatest, step.after);
    setWeights(pool, gcd(divisor, step.note0), max(greatest, step.note1));
    if (pool.enough > pool.highest || pool.enough == 0) pool.enough = pool.highest;
    else if (pool.step > 1) pool.enough = pool.enough / pool.step * pool.step + 1;
  }
  pool.position = 0;
}

let unchangedGreatest: u32 = 0;

/** Greatest common divisor, and in unchangedGreatest the greatest, of weights that did not change. */
function unchangedDivisor(pool: Pool): u32 {
  let divisor: u32 = 0;
  unchangedGreatest = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    const member = memberAt(pool, i);
    if (member.changed != 0) continue;
    divisor = gcd(member.weight, divisor);
    unchangedGreatest = max(unchangedGreatest, member.weight);
  }
  return divisor;
}

/** The next member in the walk, or NONE. */
export function pickWrr(pool: Pool, commit: bool): u32 {
  if (pool.highest <= 0) return NONE;
  let enough = pool.enough;
  let from = pool.position;
  // Two walks find one: the greatest weight is at least `highest`.
  for (let walk = 0; walk < 3; walk++) {
    for (let index = from; index < pool.count; index++) {
      if (<i32>memberAt(pool, index).weight < enough) continue;
      if (commit) {
        pool.enough = enough;
        pool.position = index + 1;
      }
      return index;
    }
    from = 0;
    enough -= pool.step;
    if (enough <= 0) enough = pool.highest;
  }
  return NONE;
}

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  add,
  complement,
  exceeds,
  fraction,
  multiply,
  ONE,
  parseProbability,
  toNumber,
  ZERO,
} from "../../src/explain/fraction.ts";

const proper = fc.tuple(fc.bigInt(0n, 1000n), fc.bigInt(1n, 1000n))
  .map(([a, b]) => a <= b ? fraction(a, b) : fraction(b, a));

Deno.test("decimals are read exactly", () => {
  assert.deepEqual(parseProbability("0.3333333333"), fraction(3333333333n, 10000000000n));
  assert.deepEqual(parseProbability("0.50000000000"), { numerator: 1n, denominator: 2n });
  assert.deepEqual(parseProbability("1"), ONE);
  assert.deepEqual(parseProbability("0."), ZERO);
  for (const text of ["", "1.1", "-0.5", ".5", "1e-3", "0.5x", "0,5"]) {
    assert.equal(parseProbability(text), null, text);
  }
});

Deno.test("fractions add and multiply as numbers do", () => {
  fc.assert(fc.property(proper, proper, (a, b) => {
    assert(Math.abs(toNumber(add(a, b)) - (toNumber(a) + toNumber(b))) < 1e-12);
    assert(Math.abs(toNumber(multiply(a, b)) - toNumber(a) * toNumber(b)) < 1e-12);
    assert.equal(toNumber(add(a, complement(a))), 1);
    assert.equal(exceeds(a, b), a.numerator * b.denominator > b.numerator * a.denominator);
  }));
});

Deno.test("a long chain of choices adds up to exactly 1", () => {
  fc.assert(fc.property(fc.array(proper, { maxLength: 60 }), (chances) => {
    let left = ONE;
    let sum = ZERO;
    for (const chance of chances) {
      sum = add(sum, multiply(left, chance));
      left = multiply(left, complement(chance));
    }
    const total = add(sum, left);
    assert.equal(total.numerator, total.denominator);
  }));
});

Deno.test("fractions with long terms become numbers", () => {
  const third = { numerator: 10n ** 400n, denominator: 3n * 10n ** 400n };
  assert.equal(toNumber(third), 1 / 3);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseIpvsSave } from "../../../src/explain/ipvs/save_text.ts";
import { choose } from "../../../src/explain/ipvs/schedulers.ts";
import { add, toNumber, ZERO } from "../../../src/explain/fraction.ts";

const ALL = [
  ...[
    "rr",
    "wrr",
    "lc",
    "wlc",
    "sed",
    "nq",
    "twos",
    "lblc",
    "lblcr",
    "dh",
    "sh",
    "mh",
    "fo",
    "ovf",
  ],
  "strange",
];

/** @param scheduler perhaps with flags: "sh -b sh-fallback". */
function server(scheduler: string, weights: readonly number[]) {
  const lines = [
    `-A -t 10.96.0.10:80 -s ${scheduler}`,
    ...weights.map((weight, i) => `-a -t 10.96.0.10:80 -r 10.244.0.${i + 1}:80 -m -w ${weight}`),
  ];
  return parseIpvsSave(lines.join("\n")).IPv4.get("10.96.0.10:80/TCP")!;
}

/** "10.244.0.N share" of each, and whether something is not known. */
function shares(scheduler: string, weights: readonly number[]): [string, boolean] {
  const { choices, doubt } = choose(server(scheduler, weights));
  const listed = choices.map(({ real, share }) =>
    `${real.address.split(".")[3]}:${Number(toNumber(share).toFixed(4))}`
  );
  return [listed.join(" "), doubt !== null];
}

for (
  const [scheduler, weights, expected, doubtful = false] of [
    ["rr", [1, 3, 0], "1:0.5 2:0.5"],
    ["wrr", [1, 3, 0], "1:0.25 2:0.75"],
    ["lc", [1, 3], "1:0.5 2:0.5"],
    ["wlc", [1, 3], "1:0.25 2:0.75"],
    ["fo", [1, 3, 2], "2:1"],
    ["fo", [1, 3, 3], "2:0.5 3:0.5", true],
    ["ovf", [1, 3], "1:0.25 2:0.75", true],
    ["sh", [1, 3], "1:0.25 2:0.75", true],
    ["sh", [1], "1:1"],
    ["sh", [1, 0], "1:1", true],
    ["sh -b sh-fallback", [1, 0], "1:1"],
    ["mh -b mh-port", [1, 0], "1:1", true],
    ["mh -b mh-fallback,mh-port", [1, 0], "1:1"],
    ["dh", [1, 3], "1:0.5 2:0.5", true],
    ["mh", [2, 2], "1:0.5 2:0.5", true],
    ["lblc", [1, 1], "1:0.5 2:0.5", true],
    ["strange", [1, 1], "1:0.5 2:0.5", true],
    ["none", [1, 1], ""],
    ["rr", [0, 0], ""],
  ] as [string, number[], string, boolean?][]
) {
  Deno.test(`shares by ${scheduler} of weights ${weights.join(", ")}`, () => {
    assert.deepEqual(shares(scheduler, weights), [expected, doubtful]);
  });
}

Deno.test("shares add up to 1 and only servers with weight have one, whatever the scheduler", () => {
  const weights = fc.array(fc.integer({ min: 0, max: 65535 }), { maxLength: 20 });
  fc.assert(fc.property(fc.constantFrom(...ALL), weights, (scheduler, weights) => {
    const { choices } = choose(server(scheduler, weights));
    const usable = weights.filter((weight) => weight > 0).length;
    assert.equal(choices.length === 0, usable === 0);
    assert.ok(choices.every(({ real }) => real.weight > 0));
    const sum = choices.reduce((sum, { share }) => add(sum, share), ZERO);
    assert.ok(usable === 0 || sum.numerator === sum.denominator);
  }));
});

Deno.test("a limit of connections is named, as nobody says how many there are", () => {
  const text = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 1 -x 10\n";
  const { doubt } = choose(parseIpvsSave(text).IPv4.get("10.0.0.1:80/TCP")!);
  assert.match(doubt ?? "", /has reached its limit/);
});

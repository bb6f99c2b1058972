/** The schedulers that draw: how often each server is picked. */

import assert from "node:assert/strict";
import { Rig } from "./rig.ts";

/** Picks of one-packet connections, which leave nothing behind. */
function tally(rig: Rig, picks: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let i = 0; i < picks; i++) {
    const connection = rig.open(rig.flow(2 + i % 200, 1024 + i));
    assert.ok(connection !== null);
    counts.set(connection.server, (counts.get(connection.server) ?? 0) + 1);
    if (i % 1000 === 999) rig.wait();
  }
  return counts;
}

/** Within five standard deviations of a binomial distribution. */
function assertShare(count: number, picks: number, probability: number): void {
  const deviation = Math.sqrt(picks * probability * (1 - probability));
  assert.ok(
    Math.abs(count - picks * probability) < 5 * deviation + 1,
    `${count} of ${picks}, expected ${(picks * probability).toFixed(0)}`,
  );
}

const PICKS = 12_000;

Deno.test("random picks in proportion to weight", () => {
  const rig = new Rig({ scheduler: "random", protocol: "UDP" });
  rig.change(new Map([[1, 1], [2, 3], [3, 0], [4, 8]]));
  const counts = tally(rig, PICKS);
  assert.equal(counts.get(3), undefined);
  for (const [server, weight] of rig.weights) {
    if (weight > 0) assertShare(counts.get(server)!, PICKS, weight / 12);
  }
});

Deno.test("twos without load picks its first draw, in which the newest has one chance more", () => {
  // All of weight 1, nothing ever open: overheads are equal, so the first draw counts.
  const rig = new Rig({ scheduler: "twos", protocol: "UDP" });
  rig.change(new Map([[1, 1], [2, 1], [3, 0], [4, 1]]));
  const counts = new Map<number, number>();
  for (let i = 0; i < PICKS; i++) {
    const { server } = rig.open(rig.flow(2 + i % 200, 1024 + i % 50_000))!;
    counts.set(server, (counts.get(server) ?? 0) + 1);
    rig.wait();
  }
  assert.equal(counts.get(3), undefined);
  assertShare(counts.get(4)!, PICKS, 2 / 4);
  assertShare(counts.get(2)!, PICKS, 1 / 4);
  assertShare(counts.get(1)!, PICKS, 1 / 4);
});

Deno.test("twos takes the less loaded of two", () => {
  // Server 1 has a connection that stays; it is picked only when both draws are it.
  const rig = new Rig({ scheduler: "twos" });
  rig.change(new Map([[1, 1]]));
  rig.open(rig.flow(2, 1000));
  rig.change(new Map([[1, 1], [2, 1], [3, 1]]));
  const counts = new Map<number, number>();
  for (let i = 0; i < 1000; i++) {
    const connection = rig.open(rig.flow(3, 1024 + i))!;
    counts.set(connection.server, (counts.get(connection.server) ?? 0) + 1);
    rig.close(connection);
    rig.wait();
  }
  // Of a draw the newest, 3, has two chances of four, the others one each.
  assertShare(counts.get(1)!, 1000, 1 / 16);
  assertShare(counts.get(2)!, 1000, 1 / 4 + 1 / 16);
});

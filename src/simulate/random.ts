/**
 * Random variates that are the same in every run, from a seed.
 *
 * @module
 */

import type { Arrivals, Clients, Durations } from "./workload.ts";

/** Gives the next number. */
export type Variate = () => number;

/** Uniform from 0 up to 1, without 1: mulberry32. */
export function uniform(seed: number): Variate {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed for one of the purposes that a simulation needs numbers for. */
export function seedFor(seed: number, purpose: number): number {
  return Math.imul(seed ^ Math.imul(purpose + 1, 0x9e3779b1), 0x85ebca6b) >>> 0;
}

function exponential(random: Variate, mean: number): Variate {
  return () => -mean * Math.log(1 - random());
}

/** Seconds from one connection to the next, with the mean that was asked for. */
export function gaps({ process, perSecond, burst }: Arrivals, random: Variate): Variate {
  const mean = 1 / perSecond;
  if (process === "regular") return () => mean;
  if (process === "poisson") return exponential(random, mean);
  const between = exponential(random, mean * burst);
  let left = 0;
  return () => {
    if (left > 0) {
      left--;
      return 0;
    }
    left = burst - 1;
    return between();
  };
}

/** Seconds that connections are open, with the mean that was asked for. */
export function durations(
  { distribution, meanSeconds, shape }: Durations,
  random: Variate,
): Variate {
  switch (distribution) {
    case "constant":
      return () => meanSeconds;
    case "exponential":
      return exponential(random, meanSeconds);
    case "lognormal":
      return lognormal(random, meanSeconds, shape);
    case "pareto": {
      const least = meanSeconds * (shape - 1) / shape;
      return () => least / (1 - random()) ** (1 / shape);
    }
  }
}

function lognormal(random: Variate, mean: number, sigma: number): Variate {
  const mu = Math.log(mean) - sigma ** 2 / 2;
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return Math.exp(mu + sigma * radius * Math.cos(2 * Math.PI * random()));
  };
}

/** Numbers of clients, from 0. */
export function clients({ count, distribution, exponent }: Clients, random: Variate): Variate {
  if (distribution === "uniform") return () => Math.floor(random() * count);
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) sums[rank] = sum += (rank + 1) ** -exponent;
  return () => firstAbove(sums, random() * sum);
}

/** The first place of an ascending list whose value is above `value`. */
function firstAbove(sums: Float64Array, value: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

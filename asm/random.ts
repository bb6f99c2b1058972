/** Random numbers from the host's seed: xorshift64*, so that a run replays exactly. */

let state: u64 = 1;

/** splitmix64: spreads a seed over as many words as are asked for. */
export function splitmix(seed: u64): u64 {
  let z = seed + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

export function seedRandom(seed: u64): void {
  state = splitmix(seed);
  if (state == 0) state = 0x9e3779b97f4a7c15;
}

/** 32 random bits. */
export function random(): u32 {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return <u32>((state * 0x2545f4914f6cdd1d) >> 32);
}

/** 0 ≤ result < n, without bias that matters (less than n in 2^32). */
export function randomBelow(n: u32): u32 {
  return <u32>((<u64>random() * n) >> 32);
}

/** 0 ≤ result < n for sums of weights, which may exceed 32 bits. */
export function randomBelow64(n: u64): u64 {
  if (n <= 0xffffffff) return <u64>randomBelow(<u32>n);
  return (((<u64>random()) << 32) | random()) % n;
}

/** The generator's state: a look ahead saves it and puts it back. */
export function randomState(): u64 {
  return state;
}

export function restoreRandom(saved: u64): void {
  state = saved;
}

/**
 * Limits on what the engine sends of its own accord. ICMP as in Linux (icmp_msgs_per_sec,
 * icmp_ratelimit): 1000 a second with a burst of 50 in all, one a second with a burst of 6 per
 * receiver (IPv6: per /64). Resets: 1000 a second per frontend.
 */

import { now } from "./clock";
import { region } from "./memory";
import { Frontend } from "./tables/frontends";
import { hashAddress } from "./tuple";

const RECEIVERS: u32 = 1024;
/** Tokens are thousandths, so that a millisecond gives `rate` of them. */
const ONE: u32 = 1000;
const GLOBAL_RATE: u64 = 1000;
const GLOBAL_BURST: u64 = 50 * ONE;
const RECEIVER_RATE: u64 = 1;
const RECEIVER_BURST: u64 = 6 * ONE;
const RESET_RATE: u64 = 1000;
const RESET_BURST: u64 = 1000 * ONE;

/** A token bucket; a new one is full, as it counts from time 0. */
@unmanaged
class Bucket {
  tokens: u64;
  filledAt: u64;
}

const BUCKET_SIZE: usize = offsetof<Bucket>();
let global: usize = 0;
let receivers: usize = 0;

export function layoutRateLimits(): void {
  global = region(BUCKET_SIZE);
  receivers = region(<usize>RECEIVERS * BUCKET_SIZE);
}

function fill(b: Bucket, rate: u64, burst: u64): void {
  const fresh = b.filledAt == 0 ? burst : b.tokens + (now - b.filledAt) * rate;
  b.tokens = min<u64>(fresh, burst);
  b.filledAt = max<u64>(now, 1);
}

/** Whether an ICMP error may be sent to the address now; counts it if so. */
export function mayComplain(hi: u64, lo: u64): bool {
  const all = changetype<Bucket>(global);
  const who = hashAddress(hi, hi == 0 ? lo : 0, 0) & (RECEIVERS - 1);
  const one = changetype<Bucket>(receivers + <usize>who * BUCKET_SIZE);
  fill(all, GLOBAL_RATE, GLOBAL_BURST);
  fill(one, RECEIVER_RATE, RECEIVER_BURST);
  if (all.tokens < ONE || one.tokens < ONE) return false;
  all.tokens -= ONE;
  one.tokens -= ONE;
  return true;
}

/** Whether a reset may be sent for the frontend now; counts it if so. */
export function mayReset(f: Frontend): bool {
  const fresh = f.resetFilledAt == 0
    ? RESET_BURST
    : <u64>f.resetTokens + (now - f.resetFilledAt) * RESET_RATE;
  f.resetTokens = <u32>min<u64>(fresh, RESET_BURST);
  f.resetFilledAt = max<u64>(now, 1);
  if (f.resetTokens < ONE) return false;
  f.resetTokens -= ONE;
  return true;
}

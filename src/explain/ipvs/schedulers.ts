/**
 * Which real servers a new connection may get, and with which share, by what a scheduler does.
 * Kernel: net/netfilter/ipvs/ip_vs_rr.c and its neighbours.
 *
 * @module
 */

import { type Fraction, fraction } from "../fraction.ts";
import type { RealServer, VirtualServer } from "./servers.ts";

/** A real server with its share of new connections. */
export interface Choice {
  readonly real: RealServer;
  readonly share: Fraction;
}

/** What a scheduler may choose. */
export interface Chosen {
  /** Their shares add up to 1; empty: nobody takes new connections. */
  readonly choices: readonly Choice[];
  /** What the shares mean: exact, or in the long run. */
  readonly how: string;
  /** Why these shares may not be so for this packet; null: nothing is missing. */
  readonly doubt: string | null;
}

type Reals = readonly RealServer[];
/** Of those that take new connections, at least one. */
type Scheduler = (usable: Reals, server: VirtualServer) => Chosen;

/** What the scheduler of a virtual server may choose for a connection's first packet. */
export function choose(server: VirtualServer): Chosen {
  const usable = server.realServers.filter(({ weight }) => weight > 0);
  const { scheduler } = server;
  if (usable.length === 0 || scheduler === "none") {
    return { choices: [], how: "no real server takes new connections", doubt: null };
  }
  const known = Object.hasOwn(SCHEDULERS, scheduler) ? SCHEDULERS[scheduler] : unknownScheduler;
  const chosen = known(usable, server);
  const full = usable.some(({ limited }) => limited)
    ? "whether a real server has reached its limit of connections is not given"
    : null;
  return { ...chosen, doubt: chosen.doubt ?? full };
}

function equally(reals: Reals): Choice[] {
  return reals.map((real) => ({ real, share: fraction(1n, BigInt(reals.length)) }));
}

function byWeight(reals: Reals): Choice[] {
  const total = BigInt(sumOfWeights(reals));
  return reals.map((real) => ({ real, share: fraction(BigInt(real.weight), total) }));
}

function sumOfWeights(reals: Reals): number {
  return reals.reduce((sum, { weight }) => sum + weight, 0);
}

function commonWeight(reals: Reals): number {
  return reals.reduce((common, { weight }) => {
    let [a, b] = [common, weight];
    while (b !== 0) [a, b] = [b, a % b];
    return a;
  }, 0);
}

const rr: Scheduler = (usable) => ({
  choices: equally(usable),
  how: `rr takes turns: exactly 1 of ${usable.length} new connections`,
  doubt: null,
});

const wrr: Scheduler = (usable) => ({
  choices: byWeight(usable),
  how: `wrr takes turns: exactly so of ${
    sumOfWeights(usable) / commonWeight(usable)
  } new connections`,
  doubt: null,
});

/** Those that look for the least loaded, with loads that come out in the same proportion. */
function leastLoaded(spread: (reals: Reals) => Choice[], what: string): Scheduler {
  return (usable, { scheduler }) => ({
    choices: spread(usable),
    how: usable.length === 1
      ? "the only one that takes new connections"
      : `${scheduler} looks for the fewest connections${what}: the share over many of them`,
    doubt: null,
  });
}

/** One and the same for this packet, but which one is not told. */
function fixed(
  candidates: (usable: Reals) => Choice[],
  reason: (server: VirtualServer) => string,
): Scheduler {
  return (usable, server) => {
    const choices = candidates(usable);
    const refusing = server.realServers.length > usable.length && refusesAtZero(server);
    const only = choices.length === 1 && !refusing;
    return {
      choices,
      how: only
        ? `${server.scheduler} takes this one`
        : `${server.scheduler}: the share over all it may be`,
      doubt: only
        ? null
        : `${reason(server)}${
          refusing ? "; one whose turn is a server of weight 0 may be refused" : ""
        }`,
    };
  };
}

/** Whether it refuses whoever comes to a server of weight 0, instead of going on to another. */
function refusesAtZero({ scheduler, flags }: VirtualServer): boolean {
  return ["dh", "sh", "mh"].includes(scheduler) &&
    !flags.some((flag) => flag === `${scheduler}-fallback`);
}

function heaviest(usable: Reals): Choice[] {
  const most = Math.max(...usable.map(({ weight }) => weight));
  return equally(usable.filter(({ weight }) => weight === most));
}

const hashed = (what: string) => ({ scheduler }: VirtualServer) =>
  `${scheduler} takes the same one for ${what} every time; which one depends on the order in ` +
  "which they were added";

const SCHEDULERS: Readonly<Record<string, Scheduler>> = {
  rr,
  wrr,
  lc: leastLoaded(equally, ""),
  wlc: leastLoaded(byWeight, " by weight"),
  sed: leastLoaded(byWeight, " by weight"),
  nq: leastLoaded(byWeight, " by weight, idle ones first"),
  twos: leastLoaded(byWeight, " by weight among two at random"),
  lblc: fixed(byWeight, () => "which server lblc keeps for this destination is not given"),
  lblcr: fixed(byWeight, () => "which servers lblcr keeps for this destination is not given"),
  dh: fixed(equally, hashed("a destination")),
  sh: fixed(byWeight, hashed("a source")),
  mh: fixed(byWeight, hashed("a source")),
  fo: fixed(
    heaviest,
    () => "of servers of one weight fo takes the one added last; the order is not given",
  ),
  ovf: fixed(
    byWeight,
    () => "ovf fills one server after the other; how many connections they have is not given",
  ),
};

const unknownScheduler: Scheduler = (usable, { scheduler }) => ({
  choices: byWeight(usable),
  how: "taken to go by weight",
  doubt: `scheduler ${scheduler} is not known`,
});

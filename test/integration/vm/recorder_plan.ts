/**
 * What the recorder does to each scheduler: made from a seed, so that it is the same every time.
 *
 * @module
 */

/** A scheduler with its circumstances. */
export interface Case {
  readonly name: string;
  readonly scheduler: string;
  readonly flags: readonly string[];
  readonly family: "IPv4" | "IPv6";
  readonly traffic: "packet" | "udp" | "tcp";
  /** The virtual server is found by a mark, so that packets may go to many destinations. */
  readonly marked: boolean;
  /** Whether clients, ports and destinations differ, as they matter. */
  readonly varied: boolean;
  readonly thresholds: boolean;
  /** Weights that mostly have a common divisor, which wrr and mh divide by. */
  readonly multiples: boolean;
  readonly picks: number;
}

/** An operation before its result is known. `send` is that many packets. */
export type Step =
  | readonly [
    kind: "add" | "set",
    server: number,
    weight: number,
    upper?: number,
    lower?: number,
  ]
  | readonly [kind: "remove", server: number]
  | readonly [kind: "send", count: number]
  | readonly [kind: "open"]
  | readonly [kind: "close"]
  | readonly [kind: "counts"];

const BY_DESTINATION = ["dh", "lblc", "lblcr"];
const BY_SOURCE = ["sh", "mh"];

/** Everything that is recorded. */
export const CASES: readonly Case[] = [
  ...["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf"].map((name) => packetCase(name)),
  ...["dh", "lblc", "lblcr"].flatMap((name) => bothFamilies(name)),
  ...["sh", "mh"].flatMap((name) =>
    [[], ["fallback"], ["port"], ["fallback", "port"]].flatMap((flags) =>
      bothFamilies(name, flags.map((flag) => `${name}-${flag}`))
    )
  ),
  ...["wrr", "mh"].map((name) => ({ ...packetCase(name), multiples: true })),
  ...["lc", "wlc"].map((name) => ({ ...connectionCase(name, 300), traffic: "udp" as const })),
  ...["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf"].map((name) => connectionCase(name, 300)),
  ...["lblc", "lblcr"].map((name) => ({
    ...connectionCase(name, 620),
    marked: true,
    varied: true,
  })),
  ...["rr", "wlc"].map((name) => ({ ...connectionCase(name, 200), thresholds: true })),
].map((one) => ({ ...one, name: caseName(one) }));

function packetCase(
  scheduler: string,
  flags: readonly string[] = [],
  family: Case["family"] = "IPv4",
): Case {
  const marked = BY_DESTINATION.includes(scheduler);
  const varied = marked || BY_SOURCE.includes(scheduler);
  const fixed = { name: "", traffic: "packet", thresholds: false, multiples: false } as const;
  return { ...fixed, scheduler, flags, family, marked, varied, picks: 2100 };
}

function bothFamilies(scheduler: string, flags: readonly string[] = []): Case[] {
  return (["IPv4", "IPv6"] as const).map((family) => packetCase(scheduler, flags, family));
}

function connectionCase(scheduler: string, picks: number): Case {
  return { ...packetCase(scheduler), marked: false, varied: false, traffic: "tcp", picks };
}

function caseName({ scheduler, flags, family, traffic, thresholds, multiples }: Case): string {
  return [
    scheduler,
    ...flags.map((flag) => flag.slice(scheduler.length + 1)),
    ...(traffic === "packet" ? [] : [traffic]),
    ...(thresholds ? ["thresholds"] : []),
    ...(multiples ? ["multiples"] : []),
    ...(family === "IPv6" ? ["ipv6"] : []),
  ].join("-");
}

/** Numbers from 0 to n − 1 that a seed determines (mulberry32). */
export function random(seed: string): (n: number) => number {
  let state = Array.from(seed).reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193), 1);
  return (n) => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return Math.floor((t ^ t >>> 14) >>> 0) % n;
  };
}

/** Real servers that a case has at most. */
export const SERVERS = 9;
/** Small ones, ones with a common divisor, none, and some that overflow the tables of sh and mh. */
const WEIGHTS = [0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 20, 30, 50, 100, 300];
const MULTIPLES = [0, 4, 4, 8, 12, 12, 16, 20, 60, 120, 4, 8, 400, 6, 3];

/** The steps of a case. */
export function plan(one: Case): Step[] {
  const next = random(`steps of ${one.name}`);
  const weights = one.multiples ? MULTIPLES : WEIGHTS;
  // Few connections must be enough to fill a server of ovf.
  const weight = () =>
    one.scheduler === "ovf" && one.traffic !== "packet" ? next(9) : weights[next(weights.length)];
  const limits = (): readonly number[] => {
    if (!one.thresholds || next(3) === 0) return [];
    const upper = 5 + next(40);
    return next(2) === 0 ? [upper] : [upper, 1 + next(upper)];
  };
  const put = (kind: "add" | "set", server: number): Step => [
    kind,
    server,
    weight(),
    ...limits() as [number?, number?],
  ];
  const steps: Step[] = [];
  const present: number[] = [];
  const change = () => {
    const absent = Array.from({ length: SERVERS }, (_, i) => i).filter((i) => !present.includes(i));
    const kind = present.length < 3 ? 0 : next(4);
    if (kind === 0 && absent.length > 0) {
      const server = absent[next(absent.length)];
      present.push(server);
      steps.push(put("add", server));
    } else if (kind === 1 && present.length > 1) {
      const [server] = present.splice(next(present.length), 1);
      steps.push(["remove", server]);
    } else steps.push(put("set", present[next(present.length)]));
  };
  for (let i = 0; i < 3; i++) change();
  for (let picks = 0, phase = 0; picks < one.picks; phase++) {
    if (one.traffic === "packet") {
      const count = 1 + next(90);
      steps.push(["send", count]);
      picks += count;
    } else {
      for (let i = 4 + next(12); i > 0; i--) {
        if (next(3) === 0 && one.traffic === "tcp") steps.push(["close"]);
        else {
          steps.push(["open"]);
          picks++;
        }
      }
      steps.push(["counts"]);
    }
    change();
    // Every server gone, then back: caches and counters outlive that.
    if (phase % 17 === 16) {
      for (const server of present.splice(0)) steps.push(["remove", server]);
      steps.push(one.traffic === "packet" ? ["send", 3] : ["open"]);
      for (let i = 0; i < 4; i++) change();
    }
  }
  return steps;
}

/**
 * What every scheduler must do, step by step: each of these was also seen on a Linux kernel, or
 * follows from one rule of it. Servers are numbers; the list has the newest first.
 *
 * Steps, separated by spaces:
 *
 *     +1*3        server 1 is added with weight 3
 *     =1*0        its weight is changed to 0
 *     -1          it is deleted
 *     >2          a new connection, which gets server 2; >- when nobody takes it
 *     >2@5        the same, from client 5
 *     >2/3        the same, to virtual address 3
 *     x2          server 2's oldest open connection ends: it is inactive from now on
 *     ~           time passes: nothing is left of inactive connections
 *
 * @module
 */

import type { SchedulerFlagName, SchedulerName } from "../../../src/plan/plan.ts";

/** A story of one virtual server. */
export interface Case {
  readonly scheduler: SchedulerName;
  readonly name: string;
  readonly flags?: readonly SchedulerFlagName[];
  readonly overhead?: "all" | "inactive";
  readonly protocol?: "TCP" | "UDP";
  readonly steps: string;
}

export const CASES: readonly Case[] = [
  {
    scheduler: "rr",
    name: "newest first, then around; a new one is met when the walk begins anew",
    steps: "+1*1 +2*1 +3*1 >3 >2 >1 >3 >2 +4*1 >1 >4 >3 >2 >1 >4",
  },
  {
    scheduler: "rr",
    name: "weights only tell who takes part",
    steps: "+1*9 +2*0 +3*1 >3 >1 >3 =2*1 >2 >1 =1*0 =3*0 =2*0 >-",
  },
  {
    scheduler: "rr",
    name: "when the last pick is deleted, its successor is next",
    steps: "+1*1 +2*1 +3*1 >3 >2 -2 >1 >3 -3 >1 >1",
  },
  {
    scheduler: "wrr",
    name: "three, two, one; it begins where adding has left it",
    steps: "+1*1 +2*2 +3*3 >3 >2 >1 >3 >3 >2 >3 >2 >1 >3 >3 >2",
  },
  {
    scheduler: "wrr",
    name: "weights with a common divisor go round as the small ones",
    steps: "+1*100 +2*200 >2 >1 >2 >2 >1 >2",
  },
  { scheduler: "wrr", name: "nobody has weight", steps: "+1*0 +2*0 >- =1*2 >1 >1" },
  {
    scheduler: "lc",
    name: "fewest connections, the first of equals, whatever the weight",
    steps: "+1*1 +2*100 >2 >1 >2 >1 x2 >2 x2 x2 >2",
  },
  {
    scheduler: "lc",
    name: "an active connection is worth 256 inactive ones",
    steps: "+1*1 +2*1 >2 >1 x1 >1 x1 >1",
  },
  {
    scheduler: "lc",
    name: "UDP connections are inactive, and count",
    protocol: "UDP",
    steps: "+1*1 +2*1 +3*1 >3 >2 >1 >3 ~ >3 >2 +4*1 >4 >1",
  },
  {
    scheduler: "wlc",
    name: "by weight; who is added again has what it had",
    steps: "+1*1 +2*3 >2 >1 >2 >2 >2 >1 -2 +2*3 >2 >2",
  },
  {
    scheduler: "wlc",
    name: "a drained server keeps its connections and gets no new one",
    steps: "+1*1 +2*1 >2 =2*0 >1 >1 =2*1 >2",
  },
  {
    scheduler: "sed",
    name: "the new connection counts: the strong one is first, twice",
    steps: "+1*1 +2*3 >2 >2 >2 >1 >2",
  },
  {
    scheduler: "sed",
    name: "it is blind to UDP",
    protocol: "UDP",
    steps: "+1*1 +2*2 >2 >2 >2 >2",
  },
  {
    scheduler: "nq",
    name: "the first idle one, however weak; then as sed",
    steps: "+2*5 +1*1 >1 >2 >2 >2 >2 >2 x1 >1",
  },
  {
    scheduler: "fo",
    name: "the highest weight takes all, the first of equals",
    steps: "+1*5 +2*1 +3*5 >3 >3 >3 =3*0 >1 >1 -1 >2 =2*0 >-",
  },
  {
    scheduler: "ovf",
    name: "until there is one more than the weight, then the next; none when all are full",
    steps: "+1*2 +2*1 >1 >1 >1 >2 >2 >- x1 >1 >-",
  },
  {
    scheduler: "dh",
    name: "one destination, one server, and no other when it is drained",
    steps: "+1*1 +2*1 +3*1 >3/1@2 >3/1@9 >1/2 >3/3 =3*0 >-/3 -3 >2/3",
  },
  {
    scheduler: "sh",
    name: "one client, one server, and no other when it is drained",
    steps: "+1*1 +2*1 >1@2 >1@2 >2@5 >2@5 =2*0 >-@5 >1@2",
  },
  {
    scheduler: "sh",
    name: "with fallback another takes its clients",
    flags: ["sh-fallback"],
    steps: "+1*1 +2*1 >1@2 >2@5 =2*0 >1@5 =1*0 >-@5",
  },
  {
    scheduler: "mh",
    name: "one client, one server; drained, its clients are refused and nobody moves",
    steps: "+1*1 +2*1 +3*1 >1@2 >1@2 >3@3 >2@9 =3*0 >-@3 >1@2 >2@9 -3 >1@2 >2@9",
  },
  {
    scheduler: "mh",
    name: "with fallback another takes its clients",
    flags: ["mh-fallback"],
    steps: "+1*1 +2*1 >2@9 =2*0 >1@9 =2*7 >2@9",
  },
  {
    scheduler: "lblc",
    name: "a destination stays where it is, until that is overloaded and another half idle",
    steps: "+1*4 +2*2 >2/1 >1/2 >2/1 >2/1 >1/1 =2*3 >1/1",
  },
  {
    scheduler: "lblc",
    name: "a server that comes back has its destinations back",
    steps: "+1*1 +2*1 >2/1 -2 +2*1 >2/1",
  },
  {
    scheduler: "lblcr",
    name: "a destination's servers become more when they are overloaded",
    steps: "+1*4 +2*1 >2/1 >2/1 >1/1 >1/1",
  },
  {
    scheduler: "wlc",
    name: "overhead of an active connection: 257 with the new formula",
    steps: "+2*256 +1*257 >1 >2 x1 x2 >1",
  },
  {
    scheduler: "wlc",
    name: "overhead of an active connection: 256 with the old one",
    overhead: "inactive",
    steps: "+2*256 +1*257 >1 >2 x1 x2 >1",
  },
  { scheduler: "twos", name: "the only server", steps: "+1*3 >1 >1 =1*0 >-" },
  { scheduler: "random", name: "the only server", steps: "+1*3 +2*0 >1 >1 =1*0 >-" },
];

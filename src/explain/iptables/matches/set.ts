/**
 * The match set: whether an ipset holds the packet's addresses or ports.
 *
 * @module
 */

import { compileEach, type MatchModule, NotUnderstood, truth, unknown } from "./result.ts";
import { setHolds, type Side } from "../../netfilter/ipset.ts";

export const set: MatchModule = {
  options: {
    "--match-set": 2,
    "--return-nomatch": 0,
    "--update-counters": 0,
    "--update-subcounters": 0,
  },
  compile: (options) =>
    compileEach(options, {
      "--match-set": ({ args: [name, flags = ""] }) => {
        const sides = flags.split(",");
        if (sides.some((side) => side !== "src" && side !== "dst")) {
          throw new NotUnderstood(`set direction ${flags} is not known`);
        }
        return (packet, world) => {
          const found = world.sets.get(name);
          if (found === undefined) return unknown(`what set ${name} holds is not given`);
          const held = setHolds(found, sides as Side[], packet, world.sets);
          return typeof held === "boolean" ? truth(held) : unknown(held);
        };
      },
      // Counting does not decide.
      "--update-counters": () => () => truth(true),
      "--update-subcounters": () => () => truth(true),
    }),
};

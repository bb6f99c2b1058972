/**
 * The match recent: lists of addresses seen. What they hold is supplied, or taken to be nothing,
 * as for a client that was never seen. Kernel: net/netfilter/xt_recent.c.
 *
 * @module
 */

import type { Ip, Packet } from "../../netfilter/packet.ts";
import type { World } from "../../netfilter/world.ts";
import { invert, type MatchModule, NotUnderstood, type Result } from "./result.ts";

const ACTIONS = ["--set", "--rcheck", "--update", "--remove"];

export const recent: MatchModule = {
  options: {
    "--set": 0,
    "--rcheck": 0,
    "--update": 0,
    "--remove": 0,
    "--seconds": 1,
    "--reap": 0,
    "--hitcount": 1,
    "--rttl": 0,
    "--name": 1,
    "--mask": 1,
    "--rsource": 0,
    "--rdest": 0,
  },
  compile(options) {
    const given = new Map(options.map((option) => [option.name, option]));
    const action = options.find((option) => ACTIONS.includes(option.name));
    if (action === undefined) throw new NotUnderstood("recent does nothing");
    if (given.has("--rttl")) throw new NotUnderstood("option --rttl needs packets seen before");
    const mask = given.get("--mask")?.args[0];
    if (mask !== undefined && !/^(255\.255\.255\.255|f{4}(:f{4}){7})$/.test(mask)) {
      throw new NotUnderstood(`recent with mask ${mask} is not understood`);
    }
    const name = given.get("--name")?.args[0] ?? "DEFAULT";
    const seconds = Number(given.get("--seconds")?.args[0] ?? Infinity);
    const hits = Number(given.get("--hitcount")?.args[0] ?? 1);
    const of = (packet: Packet) => given.has("--rdest") ? packet.dest : packet.source;
    const test = action.name === "--set"
      ? (packet: Packet) => enter(name, of(packet))
      : (packet: Packet, world: World) =>
        look(packet, world, name, of(packet), action.name === "--remove" ? null : [seconds, hits]);
    return (packet, world) => invert(test(packet, world), action.negated);
  },
};

function enter(name: string, address: Ip): Result {
  return {
    kind: "yes",
    note: `list ${name} now holds ${address.text}`,
    remember: `${name} ${address.text}`,
  };
}

function look(
  packet: Packet,
  world: World,
  name: string,
  address: Ip,
  within: readonly [seconds: number, hits: number] | null,
): Result {
  const ages = (world.recent.get(name) ?? [])
    .filter((entry) => entry.address === address.text)
    .map((entry) => entry.secondsAgo);
  if (packet.remembered.includes(`${name} ${address.text}`)) ages.push(0);
  const [seconds, hits] = within ?? [Infinity, 1];
  const count = ages.filter((age) => age <= seconds).length;
  if (count > 0 && count >= hits) {
    return { kind: "yes", note: `list ${name} holds ${address.text}` };
  }
  return {
    kind: "no",
    note: ages.length === 0
      ? `list ${name} does not hold ${address.text}: a new client`
      : `list ${name} holds ${address.text} not often or not recently enough`,
  };
}

/**
 * The match addrtype: what kind of address the node's routing takes it for.
 * Kernel: net/netfilter/xt_addrtype.c, inet_addr_type.
 *
 * @module
 */

import type { Option } from "../options.ts";
import type { Ip, Packet } from "../../netfilter/packet.ts";
import type { Address } from "../../netfilter/sender.ts";
import { isOwn, knowsNode, type World } from "../../netfilter/world.ts";
import {
  all,
  invert,
  type MatchModule,
  NotUnderstood,
  type Result,
  type Test,
  truth,
  unknown,
} from "./result.ts";

const TYPES = [
  "UNSPEC",
  "UNICAST",
  "LOCAL",
  "BROADCAST",
  "ANYCAST",
  "MULTICAST",
  "BLACKHOLE",
  "UNREACHABLE",
  "PROHIBIT",
];

export const addrtype: MatchModule = {
  options: { "--src-type": 1, "--dst-type": 1, "--limit-iface-in": 0, "--limit-iface-out": 0 },
  compile(options) {
    const limited = options.some((option) => option.name.startsWith("--limit-iface"));
    return all(
      options.filter((option) => option.name.endsWith("-type"))
        .map((option) => typeTest(option, limited)),
    );
  },
};

function typeTest({ name, args: [text], negated }: Option, limited: boolean): Test {
  const wanted = text.toUpperCase().split(",");
  const wrong = wanted.find((type) => !TYPES.includes(type));
  if (wrong !== undefined) throw new NotUnderstood(`address type ${wrong} is not known`);
  const of = (packet: Packet) => name === "--src-type" ? packet.source : packet.dest;
  return (packet, world) => invert(fits(of(packet), wanted, limited, packet, world), negated);
}

function fits(
  address: Ip,
  wanted: readonly string[],
  limited: boolean,
  packet: Packet,
  world: World,
): Result {
  const type = address.ask(addressType, world);
  if (type === "LOCAL" && limited) {
    return unknown(`which interface has the address ${address.text} is not known`);
  }
  if (type === "UNICAST" && !knowsNode(world, packet.family)) {
    const decides = wanted.includes("LOCAL") !== wanted.includes("UNICAST");
    if (decides) return unknown("the node's own addresses are not given");
  }
  return truth(wanted.includes(type));
}

/** The kernel's name for what kind of address it is to the node. */
export function addressType(address: Address, world: World): string {
  if (isOwn(address, world)) return "LOCAL";
  const [first] = address.bytes;
  if (address.bytes.length === 16) return first === 0xff ? "MULTICAST" : "UNICAST";
  if (first === 0 || address.text === "255.255.255.255") return "BROADCAST";
  return first >> 4 === 0xe ? "MULTICAST" : "UNICAST";
}

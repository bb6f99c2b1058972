/**
 * The match ipvs: what IPVS did with the packet. Of one that no virtual server has taken, only
 * `! --ipvs` holds, whatever else is negated. Kernel: net/netfilter/xt_ipvs.c.
 *
 * @module
 */

import type { Option } from "../options.ts";
import type { Packet, VirtualEnd } from "../../netfilter/packet.ts";
import { fits, parseMasked, PROTOCOL_NUMBERS, protocolNumber } from "./base.ts";
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

type Question = (virtual: VirtualEnd, packet: Packet) => Result;

const QUESTIONS: Readonly<Record<string, (argument: string) => Question>> = {
  "--vproto": (text) => {
    const number = protocolNumber(text);
    return (_, packet) => truth(PROTOCOL_NUMBERS[packet.protocol] === number);
  },
  "--vaddr": (text) => {
    const masked = parseMasked(text);
    return ({ address }) => truth(address.ask(fits, masked));
  },
  "--vport": (text) => {
    if (!/^\d+$/.test(text)) throw new NotUnderstood(`${text} is not a port`);
    return ({ port }) => truth(port === Number(text));
  },
  // A connection's first packet goes the way of the connection.
  "--vdir": (text) => () => truth(text.toUpperCase() === "ORIGINAL"),
  "--vmethod": (text) => ({ method }) => truth(method === text.toUpperCase()),
  "--vportctl": () => () => unknown("which connection controls this one is not known"),
};

export const ipvs: MatchModule = {
  options: {
    "--ipvs": 0,
    ...Object.fromEntries(Object.keys(QUESTIONS).map((name) => [name, 1])),
  },
  compile(options) {
    const others = options.filter(({ name }) => name !== "--ipvs");
    const property = options.find(({ name }) => name === "--ipvs");
    // The kernel asks nothing else when it is to ask this.
    if (property !== undefined) {
      return (packet) => truth((packet.virtual !== null) !== property.negated);
    }
    return all(others.map(compileQuestion));
  },
};

function compileQuestion({ name, negated, args: [argument] }: Option): Test {
  const question = QUESTIONS[name](argument);
  return (packet) => {
    const { virtual } = packet;
    return virtual === null ? truth(false) : invert(question(virtual, packet), negated);
  };
}

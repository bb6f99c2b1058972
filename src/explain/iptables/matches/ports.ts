/**
 * Ports and TCP flags: tcp, udp, udplite, sctp, dccp and multiport.
 *
 * @module
 */

import type { Option } from "../options.ts";
import type { Packet } from "../../netfilter/packet.ts";
import {
  compileEach,
  type MatchModule,
  NO,
  NotUnderstood,
  type Result,
  type Test,
  truth,
  unknown,
  YES,
} from "./result.ts";

/** First and last port. */
export type Range = readonly [first: number, last: number];

const SOURCE_UNKNOWN = unknown("the flow's source port is not given");

const sourcePort: (option: Option) => Test = ({ args: [text] }) => {
  const ranges = [parseRange(text)];
  return (packet) => testSource(packet, ranges);
};

const destPort: (option: Option) => Test = ({ args: [text] }) => {
  const ranges = [parseRange(text)];
  return (packet) => truth(holds(ranges, packet.destPort));
};

const ports = {
  "--sport": sourcePort,
  "--source-port": sourcePort,
  "--dport": destPort,
  "--destination-port": destPort,
};

/** A module whose options all take one argument. */
function ofProtocol(
  protocol: string,
  more: Readonly<Record<string, readonly [count: number, (option: Option) => Test]>> = {},
): MatchModule {
  const counts: Record<string, number> = {};
  const compilers: Record<string, (option: Option) => Test> = { ...ports };
  for (const name of Object.keys(ports)) counts[name] = 1;
  for (const [name, [count, compile]] of Object.entries(more)) {
    counts[name] = count;
    compilers[name] = compile;
  }
  const any: Test = (packet) => truth(packet.protocol === protocol);
  return {
    options: counts,
    compile(options) {
      if (options.length === 0) return any;
      const test = compileEach(options, compilers);
      return (packet, world) => packet.protocol === protocol ? test(packet, world) : NO;
    },
  };
}

const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

/** Flags of which exactly some are set. The first packet of a TCP connection has SYN alone. */
function tcpFlags(mask: string, set: string): Test {
  const listed = flagSet(mask);
  const wanted = flagSet(set);
  const matches = (flags: ReadonlySet<string>) =>
    FLAGS.every((flag) => !listed.has(flag) || flags.has(flag) === wanted.has(flag)) &&
    [...wanted].every((flag) => listed.has(flag));
  const first = truth(matches(new Set(["SYN"])));
  return (packet) =>
    packet.state === "ESTABLISHED" || packet.state === "RELATED" || packet.state === "INVALID"
      ? unknown("the packet's TCP flags are not known")
      : first;
}

function flagSet(text: string): Set<string> {
  if (text === "ALL") return new Set(FLAGS);
  if (text === "NONE") return new Set();
  const flags = text.split(",");
  const wrong = flags.find((flag) => !FLAGS.includes(flag));
  if (wrong !== undefined) throw new NotUnderstood(`TCP flag ${wrong} is not known`);
  return new Set(flags);
}

export const tcp = ofProtocol("TCP", {
  "--tcp-flags": [2, ({ args: [mask, set] }) => tcpFlags(mask, set ?? "")],
  "--syn": [0, () => tcpFlags("FIN,SYN,RST,ACK", "SYN")],
});

export const udp = ofProtocol("UDP");

export const sctp = ofProtocol("SCTP");

/** Ports of a protocol that no flow has. */
export const otherProtocol: MatchModule = {
  options: { "--sport": 1, "--source-port": 1, "--dport": 1, "--destination-port": 1 },
  compile: () => () => truth(false),
};

const sourcePorts: (option: Option) => Test = ({ args: [text] }) => {
  const ranges = text.split(",").map(parseRange);
  return (packet) => testSource(packet, ranges);
};

const destPorts: (option: Option) => Test = ({ args: [text] }) => {
  const ranges = text.split(",").map(parseRange);
  return (packet) => truth(holds(ranges, packet.destPort));
};

const eitherPort: (option: Option) => Test = ({ args: [text] }) => {
  const ranges = text.split(",").map(parseRange);
  return (packet) => holds(ranges, packet.destPort) ? YES : testSource(packet, ranges);
};

export const multiport: MatchModule = {
  options: {
    "--sports": 1,
    "--source-ports": 1,
    "--dports": 1,
    "--destination-ports": 1,
    "--ports": 1,
  },
  compile: (options) =>
    compileEach(options, {
      "--sports": sourcePorts,
      "--source-ports": sourcePorts,
      "--dports": destPorts,
      "--destination-ports": destPorts,
      "--ports": eitherPort,
    }),
};

function testSource(packet: Packet, ranges: readonly Range[]): Result {
  const held = packet.sourcePort.ask(isHeld, ranges);
  return held === null ? SOURCE_UNKNOWN : truth(held);
}

/** Null: it depends on a source port that is not known. */
function isHeld(port: number | null, ranges: readonly Range[]): boolean | null {
  if (port !== null) return holds(ranges, port);
  return ranges.some(([first, last]) => first === 0 && last === 65535) ? true : null;
}

function holds(ranges: readonly Range[], port: number): boolean {
  return ranges.some(([first, last]) => port >= first && port <= last);
}

/** "80", "80:90", ":90", "80:"; throws {@link NotUnderstood}. */
export function parseRange(text: string): Range {
  const parts = /^(\d*)(:?)(\d*)$/.exec(text);
  if (parts === null || text === "" || (parts[2] === "" && parts[3] !== "")) {
    throw new NotUnderstood(`${text} is not a port or a range of ports`);
  }
  const first = parts[1] === "" ? 0 : Number(parts[1]);
  const last = parts[2] === "" ? first : parts[3] === "" ? 65535 : Number(parts[3]);
  if (first > 65535 || last > 65535) throw new NotUnderstood(`${text} is beyond port 65535`);
  return [first, last];
}

/**
 * What connection tracking knows: conntrack and state. Kernel: net/netfilter/xt_conntrack.c.
 *
 * @module
 */

import type { Option } from "../options.ts";
import { type Ip, isTracked, type Packet } from "../../netfilter/packet.ts";
import { isAddress } from "../../netfilter/sender.ts";
import { fits, parseMasked, PROTOCOL_NUMBERS, protocolNumber } from "./base.ts";
import { parseRange, type Range } from "./ports.ts";
import {
  compileEach,
  type MatchModule,
  NO,
  NotUnderstood,
  type Test,
  truth,
  unknown,
  YES,
} from "./result.ts";

const STATES = ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT"];

/** Before tracking (table raw) a packet counts as INVALID. */
function state({ args: [text] }: Option): Test {
  const wanted = text.toUpperCase().split(",");
  const wrong = wanted.find((name) => !STATES.includes(name));
  if (wrong !== undefined) throw new NotUnderstood(`connection state ${wrong} is not known`);
  return (packet) => {
    if (wanted.includes(packet.state ?? "INVALID")) return YES;
    if (!isTracked(packet)) return NO;
    if (packet.state !== "NEW" && (wanted.includes("SNAT") || wanted.includes("DNAT"))) {
      return unknown("how the connection was translated is not known");
    }
    return truth(
      wanted.includes("DNAT") && translatesDest(packet) ||
        wanted.includes("SNAT") && translatesSource(packet),
    );
  };
}

function translatesSource({ source, original }: Packet): boolean {
  return source !== original.source && !original.source.ask(isAddress, source.text);
}

function translatesDest({ dest, destPort, original }: Packet): boolean {
  return destPort !== original.destPort || !dest.ask(isAddress, original.dest.text);
}

/** A test about the connection, of which only a new one is known. */
function ofConnection(test: Test): Test {
  return (packet, world) => {
    if (packet.state !== "NEW") return unknown("the connection's other properties are not known");
    return test(packet, world);
  };
}

function address(of: (packet: Packet) => Ip): (option: Option) => Test {
  return ({ args: [text] }) => {
    const masked = parseMasked(text);
    return ofConnection((packet) => truth(of(packet).ask(fits, masked)));
  };
}

function port(of: (packet: Packet) => number): (option: Option) => Test {
  return ({ args: [text] }) => {
    const [first, last] = parseRange(text.replace("-", ":"));
    return ofConnection((packet) => truth(of(packet) >= first && of(packet) <= last));
  };
}

const sourcePort: (option: Option) => Test = ({ args: [text] }) => {
  const range = parseRange(text.replace("-", ":"));
  return ofConnection(({ sourcePort }) => {
    const held = sourcePort.ask(isIn, range);
    return held === null ? unknown("the flow's source port is not given") : truth(held);
  });
};

/** Null: it depends on a source port that is not known. */
function isIn(port: number | null, [first, last]: Range): boolean | null {
  return port === null ? null : port >= first && port <= last;
}

function protocol({ args: [text] }: Option): Test {
  const number = protocolNumber(text);
  if (number === null) throw new NotUnderstood(`protocol ${text} is not known`);
  return ofConnection((packet) => truth(PROTOCOL_NUMBERS[packet.protocol] === number));
}

/** A connection that begins is confirmed only when its first packet leaves. */
function status({ args: [text] }: Option): Test {
  const wanted = text.toUpperCase().split(",");
  const wrong = wanted.find((name) =>
    !["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"].includes(name)
  );
  if (wrong !== undefined) throw new NotUnderstood(`connection status ${wrong} is not known`);
  return ofConnection((packet) =>
    wanted.includes("CONFIRMED") && packet.fromNode && packet.hook !== "OUTPUT"
      ? unknown("whether the connection is confirmed is not known")
      : NO
  );
}

const direction = ({ args: [text] }: Option): Test => {
  if (!["ORIGINAL", "REPLY"].includes(text)) throw new NotUnderstood(`no direction ${text}`);
  return () => truth(text === "ORIGINAL");
};

const COMPILERS: Readonly<Record<string, (option: Option) => Test>> = {
  "--ctstate": state,
  "--ctproto": protocol,
  "--ctorigsrc": address((packet) => packet.original.source),
  "--ctorigdst": address((packet) => packet.original.dest),
  "--ctreplsrc": address((packet) => packet.dest),
  "--ctrepldst": address((packet) => packet.source),
  "--ctorigsrcport": sourcePort,
  "--ctorigdstport": port((packet) => packet.original.destPort),
  "--ctreplsrcport": port((packet) => packet.destPort),
  "--ctrepldstport": sourcePort,
  "--ctstatus": status,
  "--ctdir": direction,
};

export const conntrack: MatchModule = {
  options: {
    ...Object.fromEntries(Object.keys(COMPILERS).map((name) => [name, 1])),
    "--ctexpire": 1,
  },
  /** A packet without a connection fits when its state does, and never when only others count. */
  compile(options) {
    const ofState = options.filter((option) => option.name === "--ctstate");
    const fitsState = compileEach(ofState, COMPILERS);
    const fits = compileEach(options, COMPILERS);
    return (packet, world) => {
      if (isTracked(packet)) return fits(packet, world);
      return ofState.length === 0 ? NO : fitsState(packet, world);
    };
  },
};

/** The older spelling: -m state --state. */
export const stateModule: MatchModule = {
  options: { "--state": 1 },
  compile: (options) => compileEach(options, { "--state": state }),
};

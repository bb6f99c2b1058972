/**
 * The packet's mark and the connection's: mark and connmark.
 *
 * @module
 */

import { isTracked } from "../../netfilter/packet.ts";
import { compileEach, type MatchModule, NO, NotUnderstood, truth, unknown } from "./result.ts";

/** A value under a mask, both 32 bits. */
export interface MaskedMark {
  readonly value: number;
  readonly mask: number;
}

/** "0x4000/0x4000" or "5"; throws {@link NotUnderstood}. */
export function parseMark(text: string): MaskedMark {
  const slash = text.indexOf("/");
  const value = parseNumber(slash < 0 ? text : text.slice(0, slash));
  return { value, mask: slash < 0 ? 0xffffffff : parseNumber(text.slice(slash + 1)) };
}

/** A 32-bit number, decimal, octal or hexadecimal as C writes them. */
export function parseNumber(text: string): number {
  const octal = /^0[0-7]+$/.test(text);
  const value = octal ? parseInt(text, 8) : /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : NaN;
  if (!(value <= 0xffffffff)) throw new NotUnderstood(`${text} is not a 32-bit number`);
  return value;
}

export const mark: MatchModule = {
  options: { "--mark": 1 },
  compile: (options) =>
    compileEach(options, {
      "--mark": ({ args: [text] }) => {
        const { value, mask } = parseMark(text);
        return (packet) => truth((packet.mark & mask) >>> 0 === value);
      },
    }),
};

/** A packet without a connection never fits, negated or not. */
export const connmark: MatchModule = {
  options: { "--mark": 1 },
  compile(options) {
    const test = compileEach(options, {
      "--mark": ({ args: [text] }) => {
        const { value, mask } = parseMark(text);
        return (packet) =>
          packet.state === "NEW"
            ? truth((packet.connectionMark & mask) >>> 0 === value)
            : unknown("the connection's mark is not known");
      },
    });
    return (packet, world) => isTracked(packet) ? test(packet, world) : NO;
  },
};

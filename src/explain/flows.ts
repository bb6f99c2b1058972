/**
 * The flows that are asked about, from a file or from the command line's words.
 *
 * @module
 */

import { z } from "zod";
import { familyOf, parseAddress } from "../net/address.ts";
import type { Flow } from "./answer.ts";

/** Flows that cannot be read; the message is one line. */
export class FlowError extends Error {
  override readonly name = "FlowError";
}

const expected = (what: string) => ({ error: `expected ${what}` });

const address = z.string(expected("an IP address")).transform((text, context) => {
  const canonical = parseAddress(text);
  if (canonical !== null) return canonical;
  context.addIssue({ code: "custom", message: "expected an IP address" });
  return z.NEVER;
});

const port = z.int(expected("a port from 1 to 65535"))
  .min(1, expected("a port from 1 to 65535"))
  .max(65535, expected("a port from 1 to 65535"));

const protocol = z.string(expected("TCP, UDP or SCTP"))
  .transform((text) => text.toUpperCase())
  .pipe(z.enum(["TCP", "UDP", "SCTP"], expected("TCP, UDP or SCTP")));

const flow = z.object({
  name: z.string(expected("a text")).optional(),
  source: address,
  sourcePort: port.optional(),
  dest: address,
  port,
  protocol,
  state: z.enum(
    ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"],
    expected("NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED"),
  ).optional(),
}, expected("an object with name, source, dest, port and protocol"));

/**
 * Reads a flows file: a JSON array of `{name, source, dest, port, protocol}`. A flow without name is
 * called by its number. Throws {@link FlowError} with file, index and field of the first mistake.
 */
export function parseFlows(text: string, file: string): Flow[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/\s+/g, " ") : String(error);
    throw new FlowError(`${file}: not JSON: ${reason}`);
  }
  if (!Array.isArray(json)) throw new FlowError(`${file}: expected an array of flows`);
  return json.map((item, index) => {
    const where = `${file}: flow ${index}`;
    const result = flow.safeParse(item);
    if (!result.success) {
      const { path, message } = result.error.issues[0];
      throw new FlowError(`${where}${path.length > 0 ? `: ${path.join(".")}` : ""}: ${message}`);
    }
    const { name = String(index), ...rest } = result.data;
    if (familyOf(rest.source) !== familyOf(rest.dest)) {
      throw new FlowError(`${where}: dest: expected an address of the same family as source`);
    }
    return { name, ...rest };
  });
}

/**
 * Reads the command line's `SRC[:PORT] DST:PORT/PROTO`, IPv6 addresses with ports in brackets; it
 * is called as it was written. Throws {@link FlowError}.
 */
export function parseFlowWords(source: string, target: string): Flow {
  const from = splitPort(source);
  const slash = target.lastIndexOf("/");
  const to = splitPort(slash < 0 ? target : target.slice(0, slash));
  if (slash < 0 || to.port === undefined) {
    throw new FlowError(`${target}: expected ADDRESS:PORT/PROTOCOL`);
  }
  const result = flow.safeParse({
    name: `${source} ${target}`,
    source: from.address,
    ...(from.port === undefined ? {} : { sourcePort: from.port }),
    dest: to.address,
    port: to.port,
    protocol: target.slice(slash + 1),
  });
  if (!result.success) {
    const { path, message } = result.error.issues[0];
    const word = path[0] === "source" || path[0] === "sourcePort" ? source : target;
    throw new FlowError(`${word}: ${message}`);
  }
  const { name = "", ...rest } = result.data;
  if (familyOf(rest.source) !== familyOf(rest.dest)) {
    throw new FlowError(`${target}: expected an address of the same family as ${source}`);
  }
  return { name, ...rest };
}

/** "10.0.0.1:80", "[fd00::1]:80", or an address alone. A port that is no number becomes NaN. */
function splitPort(text: string): { address: string; port: number | undefined } {
  const parts = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? /^([^:]*)(?::([^:]*))?$/.exec(text);
  if (parts === null) return { address: text, port: undefined };
  const [, address, digits] = parts;
  if (digits === undefined) return { address, port: undefined };
  return { address, port: /^\d+$/.test(digits) ? Number(digits) : NaN };
}

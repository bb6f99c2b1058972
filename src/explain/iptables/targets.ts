/**
 * What a rule does with a packet that it matches: the target's words as data.
 *
 * @module
 */

import { NotUnderstood } from "./matches/result.ts";
import { type MaskedMark, parseMark, parseNumber } from "./matches/mark.ts";
import { type NatRange, parseNatRange, parsePorts } from "./nat.ts";
import type { Option, OptionTable, TargetUse } from "./options.ts";
import { type Masked, parseMasked } from "./matches/base.ts";

/** A target, with everything that it needs. Marks are 32 bits. */
export type Target =
  /** The rule only counts. */
  | { readonly kind: "none" }
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "reject"; readonly with: string }
  | { readonly kind: "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** mark = (mark AND NOT mask) XOR value. */
  | { readonly kind: "mark"; readonly value: number; readonly mask: number }
  | { readonly kind: "connmark-set"; readonly value: number; readonly mask: number }
  | {
    readonly kind: "connmark-save" | "connmark-restore";
    readonly packetMask: number;
    readonly connectionMask: number;
  }
  | { readonly kind: "dnat" | "snat"; readonly to: NatRange }
  | { readonly kind: "masquerade" }
  | { readonly kind: "redirect"; readonly ports: readonly [number, number] | null }
  | { readonly kind: "netmap"; readonly to: Masked }
  | { readonly kind: "notrack" }
  | { readonly kind: "tproxy"; readonly port: number; readonly mark: MaskedMark }
  /** Does something that does not bear on where the packet goes. */
  | { readonly kind: "aside" }
  | { readonly kind: "unknown"; readonly reason: string };

interface TargetModule {
  readonly options: OptionTable;
  /** Throws {@link NotUnderstood}. */
  compile(options: readonly Option[]): Target;
}

const plain = (target: Target): TargetModule => ({ options: {}, compile: () => target });

/** A target with options that don't bear on where the packet goes. */
const aside = (options: OptionTable = {}): TargetModule => ({
  options,
  compile: () => ({ kind: "aside" }),
});

function argument(options: readonly Option[], name: string): string | undefined {
  return options.find((option) => option.name === name)?.args[0];
}

function refuseOthers(options: readonly Option[], known: OptionTable): void {
  const strange = options.find((option) => !Object.hasOwn(known, option.name));
  if (strange !== undefined) throw new NotUnderstood(`option ${strange.name} is not understood`);
}

const MARK_OPTIONS: OptionTable = {
  "--set-xmark": 1,
  "--set-mark": 1,
  "--or-mark": 1,
  "--and-mark": 1,
  "--xor-mark": 1,
};

/** What MARK's and CONNMARK's options do to a mark; null when none is given. */
function markChange(options: readonly Option[]): MaskedMark | null {
  const option = options.find(({ name }) => Object.hasOwn(MARK_OPTIONS, name));
  if (option === undefined) return null;
  const [text] = option.args;
  switch (option.name) {
    case "--set-xmark":
      return parseMark(text);
    case "--set-mark": {
      const { value, mask } = parseMark(text);
      return { value, mask: (mask | value) >>> 0 };
    }
    case "--or-mark":
      return { value: parseNumber(text), mask: parseNumber(text) };
    case "--and-mark":
      return { value: 0, mask: ~parseNumber(text) >>> 0 };
    default:
      return { value: parseNumber(text), mask: 0 };
  }
}

const CONNMARK_OPTIONS: OptionTable = {
  ...MARK_OPTIONS,
  "--save-mark": 0,
  "--restore-mark": 0,
  "--nfmask": 1,
  "--ctmask": 1,
  "--mask": 1,
};

function connmark(options: readonly Option[]): Target {
  const change = markChange(options);
  if (change !== null) return { kind: "connmark-set", ...change };
  const action = options.find(({ name }) => name === "--save-mark" || name === "--restore-mark");
  if (action === undefined) throw new NotUnderstood("CONNMARK does nothing");
  const mask = (name: string) =>
    parseNumber(argument(options, name) ?? argument(options, "--mask") ?? "0xffffffff");
  return {
    kind: action.name === "--save-mark" ? "connmark-save" : "connmark-restore",
    packetMask: mask("--nfmask"),
    connectionMask: mask("--ctmask"),
  };
}

const NAT_OPTIONS: OptionTable = { "--random": 0, "--random-fully": 0, "--persistent": 0 };

function nat(kind: "dnat" | "snat", name: string): TargetModule {
  return {
    options: { [name]: 1, ...NAT_OPTIONS },
    compile(options) {
      const to = options.filter((option) => option.name === name);
      if (to.length !== 1) throw new NotUnderstood(`expected one ${name}, not ${to.length}`);
      return { kind, to: parseNatRange(to[0].args[0]) };
    },
  };
}

const CT_OPTIONS: OptionTable = {
  "--notrack": 0,
  "--helper": 1,
  "--ctevents": 1,
  "--expevents": 1,
  "--timeout": 1,
  "--zone": 1,
  "--zone-orig": 1,
  "--zone-reply": 1,
};

const MODULES: ReadonlyMap<string, TargetModule> = new Map(Object.entries<TargetModule>({
  ACCEPT: plain({ kind: "accept" }),
  DROP: plain({ kind: "drop" }),
  RETURN: plain({ kind: "return" }),
  REJECT: {
    options: { "--reject-with": 1 },
    compile: (options) => ({
      kind: "reject",
      with: argument(options, "--reject-with") ?? "port-unreachable",
    }),
  },
  MARK: {
    options: MARK_OPTIONS,
    compile(options) {
      const change = markChange(options);
      if (change === null) throw new NotUnderstood("MARK sets nothing");
      return { kind: "mark", ...change };
    },
  },
  CONNMARK: { options: CONNMARK_OPTIONS, compile: connmark },
  DNAT: nat("dnat", "--to-destination"),
  SNAT: nat("snat", "--to-source"),
  MASQUERADE: {
    options: { "--to-ports": 1, ...NAT_OPTIONS },
    compile: () => ({ kind: "masquerade" }),
  },
  REDIRECT: {
    options: { "--to-ports": 1, ...NAT_OPTIONS },
    compile(options) {
      const text = argument(options, "--to-ports");
      return { kind: "redirect", ports: text === undefined ? null : parsePorts(text) };
    },
  },
  NETMAP: {
    options: { "--to": 1 },
    compile: (options) => ({ kind: "netmap", to: parseMasked(argument(options, "--to") ?? "") }),
  },
  CT: {
    options: CT_OPTIONS,
    compile: (options) => ({
      kind: options.some((option) => option.name === "--notrack") ? "notrack" : "aside",
    }),
  },
  NOTRACK: plain({ kind: "notrack" }),
  TPROXY: {
    options: { "--on-port": 1, "--on-ip": 1, "--tproxy-mark": 1 },
    compile: (options) => ({
      kind: "tproxy",
      port: Number(argument(options, "--on-port") ?? 0),
      mark: parseMark(argument(options, "--tproxy-mark") ?? "0/0"),
    }),
  },
  LOG: aside({
    "--log-level": 1,
    "--log-prefix": 1,
    "--log-tcp-sequence": 0,
    "--log-tcp-options": 0,
    "--log-ip-options": 0,
    "--log-uid": 0,
    "--log-macdecode": 0,
  }),
  NFLOG: aside({
    "--nflog-group": 1,
    "--nflog-prefix": 1,
    "--nflog-range": 1,
    "--nflog-size": 1,
    "--nflog-threshold": 1,
  }),
  TRACE: aside(),
  CHECKSUM: aside({ "--checksum-fill": 0 }),
  CLASSIFY: aside({ "--set-class": 1 }),
  DSCP: aside({ "--set-dscp": 1, "--set-dscp-class": 1 }),
  TOS: aside({ "--set-tos": 1, "--and-tos": 1, "--or-tos": 1, "--xor-tos": 1 }),
  TCPMSS: aside({ "--set-mss": 1, "--clamp-mss-to-pmtu": 0 }),
  TTL: aside({ "--ttl-set": 1, "--ttl-dec": 1, "--ttl-inc": 1 }),
  HL: aside({ "--hl-set": 1, "--hl-dec": 1, "--hl-inc": 1 }),
}));

/** The options of a target extension; undefined when there is no such extension, or it is a chain. */
export function targetOptions(name: string): OptionTable | undefined {
  return MODULES.get(name)?.options;
}

/**
 * The target of a rule. A name that is no extension is a chain where `isChain` says so.
 * What is not understood becomes kind `unknown`.
 */
export function compileTarget(
  target: TargetUse,
  isChain: (name: string) => boolean,
): Target {
  const { name, isGoto, options } = target;
  if (isChain(name)) {
    if (options.length > 0) {
      return { kind: "unknown", reason: `option ${options[0].name} is not understood` };
    }
    return { kind: isGoto ? "goto" : "jump", chain: name };
  }
  const module = isGoto ? undefined : MODULES.get(name);
  if (module === undefined) {
    return {
      kind: "unknown",
      reason: `${name} is neither a chain of this table nor a known target`,
    };
  }
  try {
    refuseOthers(options, module.options);
    return module.compile(options);
  } catch (error) {
    if (error instanceof NotUnderstood) return { kind: "unknown", reason: error.message };
    throw error;
  }
}

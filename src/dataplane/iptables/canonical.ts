/**
 * One normal form for rules that mean the same: a rule as kube-proxy writes it and as iptables-save
 * prints it back have the same key.
 *
 * iptables-save moves addresses, interfaces and protocol to the front, adds prefix lengths and
 * defaults, and rewrites marks (libxt_mark.c, libxt_MARK.c), probabilities (libxt_statistic.c) and
 * lists (libxt_recent.c). What is not known here is kept as it stands, so a rule that nobody here
 * wrote has a key of its own.
 *
 * @module
 */

import { type Family, formatNetwork, parseNetwork } from "../../net/address.ts";

/** An option with its values: `! --mark 0x4000/0x4000`. */
interface Option {
  readonly negated: boolean;
  readonly name: string;
  readonly values: string[];
}

/** A match or target with its options. */
interface Extension {
  readonly name: string;
  readonly options: Option[];
}

/** Options before any match, by their short names. */
const GENERAL: Readonly<Record<string, string>> = {
  "-s": "-s",
  "--source": "-s",
  "--src": "-s",
  "-d": "-d",
  "--destination": "-d",
  "--dst": "-d",
  "-i": "-i",
  "--in-interface": "-i",
  "-o": "-o",
  "--out-interface": "-o",
  "-p": "-p",
  "--protocol": "-p",
  "--proto": "-p",
};

/** A key of the rule with these words: equal for two rules exactly when they are the same rule. */
export function canonicalRule(tokens: readonly string[], family: Family): string {
  const general: string[] = [];
  const matches: Extension[] = [];
  let target: Extension | null = null;
  let extension: Extension | null = null;
  let negated = false;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token === "!") {
      negated = true;
      continue;
    }
    const short = GENERAL[token];
    if (short !== undefined) {
      const word = generalOption(short, negated, tokens[++i] ?? "", family);
      if (word !== null) general.push(word);
    } else if (token === "-m" || token === "--match") {
      matches.push(extension = { name: tokens[++i] ?? "", options: [] });
    } else if (token === "-j" || token === "-g" || token === "--jump" || token === "--goto") {
      const goto = token === "-g" || token === "--goto";
      extension = { name: `${goto ? "-g" : "-j"} ${tokens[++i] ?? ""}`, options: [] };
      target = extension;
    } else {
      const values: string[] = [];
      // A comment may look like an option.
      if (token === "--comment") values.push(tokens[++i] ?? "");
      while (i + 1 < tokens.length && !/^(!$|-)/.test(tokens[i + 1])) values.push(tokens[++i]);
      (extension ?? (extension = implied(matches))).options.push({ negated, name: token, values });
    }
    negated = false;
  }
  // The kernel keeps the order of matches, but not every iptables prints it.
  const parts = [
    ...general.sort(),
    ...matches.map((match) => `-m ${match.name}${optionWords(match, family)}`).sort(),
  ];
  if (target !== null) parts.push(`${target.name}${optionWords(target, family)}`);
  return parts.join(" ");
}

function implied(matches: Extension[]): Extension {
  const extension = { name: "", options: [] };
  matches.push(extension);
  return extension;
}

function generalOption(
  option: string,
  negated: boolean,
  value: string,
  family: Family,
): string | null {
  const sign = negated ? "! " : "";
  if (option !== "-s" && option !== "-d") return `${sign}${option} ${value}`;
  const network = networkText(value, family);
  return network.endsWith("/0") && !negated ? null : `${sign}${option} ${network}`;
}

function networkText(text: string, family: Family): string {
  if (family === "IPv4") {
    if (text.endsWith("/32")) return text;
    if (!text.includes("/")) return `${text}/32`;
  }
  const network = parseNetwork(text);
  return network === null ? text : formatNetwork(network);
}

function optionWords(extension: Extension, family: Family): string {
  const { options, name } = extension;
  if (options.length === 0) {
    return name === "-j REJECT" ? ` --reject-with ${DEFAULT_REJECT[family]}` : "";
  }
  return options.flatMap((option) => {
    const word = optionWord(name, option);
    return word === null ? [] : [` ${option.negated ? "! " : ""}${word}`];
  }).sort().join("");
}

const DEFAULT_REJECT: Readonly<Record<Family, string>> = {
  IPv4: "icmp-port-unreachable",
  IPv6: "icmp6-port-unreachable",
};

/** An option as it is compared, or null when it only says what holds without it. */
function optionWord(extension: string, { name, values }: Option): string | null {
  const [value = ""] = values;
  switch (`${extension} ${name}`) {
    case "mark --mark":
      return `${name} ${markText(value)}`;
    case "-j MARK --or-mark":
      return markAction(Number(value), Number(value));
    case "-j MARK --xor-mark":
      return markAction(Number(value), 0);
    case "-j MARK --set-xmark": {
      const [bits, mask = "0xffffffff"] = value.split("/");
      return markAction(Number(bits), Number(mask));
    }
    case "conntrack --ctstate":
      return `${name} ${value.split(",").sort().join(",")}`;
    case "statistic --probability":
      // The kernel compares 31 random bits with this.
      return `${name} ${Math.round(Number(value) * 2 ** 31)}`;
    case "ipvs --vproto":
      return `${name} ${PROTOCOL_NUMBERS[value] ?? value}`;
    case "recent --mask":
      return value === "255.255.255.255" || /^(ffff:){7}ffff$/.test(value)
        ? null
        : `${name} ${value}`;
    case "recent --rsource":
      return null;
    case "comment --comment":
      return `${name} ${JSON.stringify(value)}`;
    default:
      return [name, ...values].join(" ");
  }
}

const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

function markText(text: string): string {
  const [bits, mask = "0xffffffff"] = text.split("/");
  return `${Number(bits)}/${Number(mask)}`;
}

function markAction(bits: number, mask: number): string {
  return `--set-xmark ${bits}/${mask}`;
}

/** A stand-in for iptables-restore --noflush: carries out restore text on tables in memory. */

import { splitWords } from "../../../src/dataplane/iptables/save_text.ts";
import { targetOf } from "../../../src/dataplane/iptables/read.ts";

/** Chains by table, each with its rules in order. */
export type Tables = Map<string, Map<string, string[]>>;

/** Carries out a text; throws with the number of the first line that iptables would refuse. */
export function restore(tables: Tables, text: string): void {
  let chains = new Map<string, string[]>();
  let name = "";
  text.split("\n").forEach((line, index) => {
    const refuse = (why: string) => {
      throw new Error(`line ${index + 1}: ${why}: ${line}`);
    };
    if (line === "") return;
    if (line.startsWith("*")) {
      name = line.slice(1);
      chains = structuredClone(tables.get(name) ?? new Map());
    } else if (line === "COMMIT") {
      checkTargets(chains, refuse);
      tables.set(name, chains);
    } else if (line.startsWith(":")) {
      chains.set(line.slice(1).split(" ")[0], []);
    } else {
      command(chains, line, refuse);
    }
  });
}

function command(
  chains: Map<string, string[]>,
  line: string,
  refuse: (why: string) => void,
): void {
  const [, action, chain, rest = ""] = /^(-[AIDX]) (\S+)(?: (.*))?$/.exec(line) ?? [];
  const rules = chains.get(chain);
  if (rules === undefined) return refuse("no such chain");
  switch (action) {
    case "-A":
      rules.push(rest);
      break;
    case "-I": {
      const [, position, spec] = /^(?:(\d+) )?(.*)$/.exec(rest)!;
      const at = Number(position ?? 1) - 1;
      if (at > rules.length) return refuse("index of insertion too big");
      rules.splice(at, 0, spec);
      break;
    }
    case "-D": {
      const at = rules.indexOf(rest);
      if (at < 0) return refuse("no such rule");
      rules.splice(at, 1);
      break;
    }
    case "-X":
      if (rules.length > 0) return refuse("chain is not empty");
      for (const [other, specs] of chains) {
        if (specs.some((spec) => leadsTo(spec) === chain)) refuse(`${other} leads to it`);
      }
      chains.delete(chain);
      break;
    default:
      refuse("not a command");
  }
}

function leadsTo(spec: string): string | null {
  return targetOf({ tokens: splitWords(spec)! });
}

function checkTargets(chains: Map<string, string[]>, refuse: (why: string) => void): void {
  for (const specs of chains.values()) {
    for (const spec of specs) {
      const target = leadsTo(spec);
      if (target?.startsWith("KUBE-") && !chains.has(target)) refuse(`${target} does not exist`);
    }
  }
}

/** The tables as iptables-save would print them. */
export function savedText(tables: Tables): string {
  const lines: string[] = [];
  for (const [table, chains] of tables) {
    lines.push(`*${table}`, ...[...chains.keys()].map((chain) => `:${chain} - [0:0]`));
    for (const [chain, specs] of chains) {
      lines.push(...specs.map((spec) => `-A ${chain} ${spec}`));
    }
    lines.push("COMMIT");
  }
  return `${lines.join("\n")}\n`;
}

/** What the programs of a node print that is in ipvs mode, exactly as manifests ask for. */

import assert from "node:assert/strict";
import { runProgram, taskPermissions } from "./cli.ts";

/** Texts by the flag that takes them. */
export interface IpvsDump {
  "iptables-save": string;
  "ipset-save": string;
  "ipvsadm-save": string;
}

/** Of IPv4 alone. */
export async function ipvsDump(manifests: readonly string[]): Promise<IpvsDump> {
  const { code, stdout, stderr } = await runProgram(
    await taskPermissions("render"),
    ["render", ...manifests, "--proxy-mode=ipvs", "--ip-family=ipv4", "--output=json"],
  );
  assert.equal(code, 0, stderr);
  const { sets, servers, rules } = JSON.parse(stdout).families[0].texts;
  return { "iptables-save": saved(rules), "ipset-save": sets, "ipvsadm-save": servers };
}

const KERNEL_CHAINS: Readonly<Record<string, readonly string[]>> = {
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
};

const CANARY = ":KUBE-PROXY-CANARY - [0:0]";

/** iptables-save has no -I: the rules that it puts first stand first. */
function saved(restored: string): string {
  const lines = restored.split("\n");
  const jumps = lines.filter((line) => line.startsWith("-I "));
  const tableOf = (line: string) =>
    lines.slice(0, lines.indexOf(line)).findLast((before) => before.startsWith("*"));
  const tables = lines.flatMap((line) => {
    if (line.startsWith("-I ")) return [];
    if (!line.startsWith("*")) return [line];
    const chains = KERNEL_CHAINS[line.slice(1)].map((chain) => `:${chain} ACCEPT [0:0]`);
    const own = jumps.filter((jump) => tableOf(jump) === line).toReversed();
    return [line, ...chains, CANARY, ...own.map((jump) => jump.replace(/^-I /, "-A "))];
  });
  return [...tables.filter((line) => line !== ""), "*mangle", CANARY, "COMMIT", ""].join("\n");
}

/** Writes the texts into a folder; the flags that name them. */
export async function dumpFlags(folder: string, dump: IpvsDump): Promise<string[]> {
  for (const [name, text] of Object.entries(dump)) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
  return Object.keys(dump).map((name) => `--${name}=${folder}/${name}`);
}

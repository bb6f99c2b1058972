/**
 * Flags of the commands that answer questions.
 *
 * @module
 */

import {
  ASKING,
  booleanFlag,
  differing,
  explaining,
  flag,
  type FlagSpec,
  listFlag,
  previewing,
  replaying,
} from "../flag_spec.ts";
import * as value from "../values.ts";

export const ASKING_FLAGS = {
  "flows": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "flows to explain, JSON: [{name, source, dest, port, protocol}, ...]",
    explaining,
  ),
  "iptables-save": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the rules of any node: what iptables-save and ip6tables-save print, one after the other",
    { commands: ["explain", "diff"] },
  ),
  "nft-list": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the rules of any node in nftables mode: what nft list ruleset prints",
    { commands: ["explain", "diff"] },
  ),
  "this-node": booleanFlag(
    false,
    "compares with this node, as root; without --proxy-mode in the mode that it shows to be in",
    differing,
  ),
  "verify": booleanFlag(
    false,
    "also asks engine and rules about every frontend, and says where they do not agree",
    differing,
  ),
  "apply": listFlag(
    value.inputs,
    "FILE|DIR|-",
    "",
    "manifests of objects as they would be, YAML or JSON; may be repeated",
    previewing,
  ),
  "delete": listFlag(
    value.words,
    "KIND/NAMESPACE/NAME",
    "",
    "an object that would be gone, as in service/default/web; may be repeated",
    previewing,
  ),
  "server": flag(
    value.server,
    "URL",
    null,
    "asks the API of a running agent: http://HOST:PORT, https://HOST:PORT or unix:/PATH",
    { commands: ASKING },
  ),
  "as-of": flag(
    value.integer(1, Number.MAX_SAFE_INTEGER),
    "ID",
    null,
    "with --server: asks the plan as it was behind this entry of the history",
    explaining,
  ),
  "rules": flag(
    value.oneOf(["synced", "node"]),
    "WHICH",
    null,
    "with --server: asks the rules as of the last sync (synced) or those of this moment (node); " +
      "unset: synced, and for diff --verify in iptables and nftables mode node",
    { commands: ["explain", "diff"] },
  ),
  "limit": flag(
    value.integer(1, 10_000),
    "N",
    "1000",
    "connections, and destinations of unmatched packets, that are listed",
    replaying,
  ),
  "seed": flag(
    value.integer(0, Number.MAX_SAFE_INTEGER),
    "N",
    "1",
    "decides all that is random; the same one gives the same report",
    replaying,
  ),
  "ipset-save": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the sets that those rules use: what ipset save prints",
    { commands: ["explain", "diff"] },
  ),
  "ipvsadm-save": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the virtual servers beside those rules: what ipvsadm-save -n prints",
    { commands: ["explain", "diff"] },
  ),
} satisfies Record<string, FlagSpec>;

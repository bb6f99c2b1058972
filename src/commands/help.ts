/**
 * What `help` and `--help` print.
 *
 * @module
 */

import type { FlagCommand } from "../config/flag_table.ts";
import { flagHelp } from "../config/help.ts";
import { VERSION } from "../config/version.ts";

const COMMAND_HELP: Readonly<Record<FlagCommand, readonly string[]>> = {
  run: [
    "Usage: run [flags]",
    "",
    "The node agent. It follows --manifests, or the cluster of --kubeconfig or --master, or that of",
    "--config (KubeProxyConfiguration), or, in a pod, the pod's own, and serves the Services on this",
    "node (as root), or only answers queries about them (otherwise). Without any of these it runs the",
    "lab: the bundled examples in network namespaces of its own, the host's network untouched. Takes",
    "all of kube-proxy's flags. Ends on Ctrl-C or SIGTERM; the rules stay.",
  ],
  lab: [
    "Usage: lab [flags]",
    "       lab list",
    "       lab exec NAME -- COMMAND...",
    "",
    "The lab: a node, pods and clients in network namespaces of its own, serving the manifests given",
    "or the bundled examples. `list` names the namespaces of the lab that runs, and `exec` runs a",
    "command in one of them, as in: lab exec client -- curl http://10.0.1.175",
  ],
  render: [
    "Usage: render --manifests FILE|DIR|- [flags]",
    "",
    "Prints what would be programmed for --proxy-mode (unset: iptables), from manifests, without",
    "touching the node or needing privileges. In iptables mode that is the text for iptables-restore",
    "--noflush, IPv4 before IPv6; in ipvs mode also that for ip -batch, ipset restore and ipvsadm",
    "--restore; in nftables mode the tables for nft -f, as nft lists them; in userspace mode the routes",
    "and captured ports that lead to the engine. Objects that cannot be used are told on standard error,",
    "one line each; the rest is printed, and the exit status is 2.",
  ],
  explain: [
    "Usage: explain --manifests FILE|DIR|- --flows FILE [flags]",
    "       explain --iptables-save FILE SOURCE[:PORT] DEST:PORT/PROTOCOL [flags]",
    "       explain --nft-list FILE SOURCE[:PORT] DEST:PORT/PROTOCOL [flags]",
    "       explain --server URL SOURCE[:PORT] DEST:PORT/PROTOCOL [flags]",
    "",
    "Says where packets go and why: by what manifests ask for (with --proxy-mode iptables, ipvs or",
    "nftables, by what would be programmed), or by the rules of any node as iptables-save or nft list",
    "ruleset prints them, in ipvs mode with what ipset save and ipvsadm-save -n print (--ipset-save,",
    "--ipvsadm-save). A file of flows or one flow on the command line can be asked about. The node's",
    "own addresses are those given with --node-ip. With --output json the answers to --flows are an",
    "array, the answer to the one flow an object. By manifests and by a server the packet engine is",
    "asked too, and what it says otherwise is told; a server also knows the rules of this moment",
    "(--rules) and of the past (--as-of). With both manifests and a node's rules, the rules are asked",
    "beside the manifests' engine.",
  ],
  diff: [
    "Usage: diff --manifests FILE|DIR|- --iptables-save FILE|- [flags]",
    "       diff --manifests FILE|DIR|- --nft-list FILE|- [flags]",
    "       diff --manifests FILE|DIR|- --iptables-save FILE --ipset-save FILE --ipvsadm-save FILE",
    "       diff --manifests FILE|DIR|- --this-node [flags]",
    "       diff --server URL [flags]",
    "",
    "Says what a node has otherwise than it should: what manifests ask for against what iptables-save",
    "and ip6tables-save print of any node, in ipvs mode with what ipset save and ipvsadm-save -n print,",
    "or what nft list ruleset prints; against this very node, in userspace mode too, whose routes and",
    "policy rules are in no such file; or what a running agent says of its own node. With --verify",
    "engine and rules are asked about every frontend, too. Real servers with weight 0 that nobody asks",
    "for are taken for ones whose connections still end, and are no differences.",
    "Exit status: 0 no differences, 1 some, 2 they cannot be told, or some of the input is left out.",
  ],
  preview: [
    "Usage: preview --manifests FILE|DIR|- [--apply FILE|DIR|-]... [--delete KIND/NAMESPACE/NAME]...",
    "       preview --server URL [--apply FILE|DIR|-]... [--delete KIND/NAMESPACE/NAME]...",
    "",
    "Says what would change if objects were applied or deleted, and applies nothing: Services with",
    "their frontends and backends, the rules of --proxy-mode (unset: iptables, or the running agent's",
    "mode), and, of a running agent, connections that would move or break. With manifests workloads",
    "make pods, and pods endpoints; a cluster's own controllers are not guessed at, which is told.",
    "Deleted kinds: service, endpointslice, node, endpoints, pod, deployment, replicaset, statefulset,",
    "daemonset, in plural and short too; service/web is in namespace default.",
    "Exit status: 0 nothing would change, 1 something would, 2 that cannot be told, or not of all.",
  ],
  replay: [
    "Usage: replay FILE|- --manifests FILE|DIR|- [flags]",
    "       replay FILE|- --server URL [flags]",
    "",
    "Sends the packets of a capture, pcap or pcapng, through an engine that serves what the manifests",
    "ask for, or what a running agent serves, and says what became of each connection: frontend,",
    "backend and reason; what every backend got; and which packets matched nothing. The backends are",
    "chosen anew, by --proxy-mode (unset: userspace); nothing is sent anywhere.",
  ],
  cleanup: [
    "Usage: cleanup [flags]",
    "",
    "Removes from this node what a proxy of Kubernetes left on it, this one or kube-proxy: its chains",
    "and rules in iptables, its tables in nftables, its virtual servers, sets and kube-ipvs0, and this",
    "one's routing rules.",
    "Nothing else is touched. As root.",
  ],
};

/** Whether a command has flags, and so help of its own. */
export function hasFlags(command: string): command is FlagCommand {
  return Object.hasOwn(COMMAND_HELP, command);
}

/** The help of one command. */
export function commandHelp(command: FlagCommand): string {
  return [...COMMAND_HELP[command], "", flagHelp(command)].join("\n").trimEnd();
}

/** The help without a command. */
export function generalHelp(): string {
  return [
    `Switchyard ${VERSION}: a Kubernetes Service load balancer for a node.`,
    "",
    "Usage: deno task NAME [flags], or deno run ... src/main.ts COMMAND [flags]",
    "",
    "Commands:",
    "  run        the node agent; without manifests and cluster, the lab",
    "  lab        the lab, and commands in its namespaces",
    "  render     prints what would be programmed, from manifests",
    "  explain    says where packets go and why, from manifests or any node's rules",
    "  diff       says what a node has otherwise than it should",
    "  preview    says what objects to apply or delete would change",
    "  replay     sends a capture through the engine, and says what it chose",
    "  simulate   says how schedulers would spread load: simulate --help",
    "  cleanup    removes what a proxy left on this node",
    "  version    prints the version",
    "  help       prints this, or the help of a command: help run",
    "",
    "Arguments that begin with a flag are those of run, as kube-proxy's are.",
    "Exit status: 0 done, 1 failed, 2 bad usage or input; of diff and preview 0 the same, 1 different,",
    "2 failed.",
  ].join("\n");
}

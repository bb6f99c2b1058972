/**
 * Rules that do not belong to one Service: those before and those after the Services'.
 *
 * @module
 */

import { CHAIN } from "./names.ts";
import { COUNTERS, type RuleContext } from "./options.ts";
import { comment, type Fragment, FragmentBuilder } from "./rules.ts";

/** The chains that all share, the masquerade rules, and the guard of loopback addresses. */
export function renderHead(context: RuleContext): Fragment {
  const out = new FragmentBuilder();
  out.chains(
    "filter",
    CHAIN.services,
    CHAIN.externalServices,
    CHAIN.forward,
    CHAIN.nodePorts,
    CHAIN.proxyFirewall,
  );
  out.chains("nat", CHAIN.services, CHAIN.nodePorts, CHAIN.postrouting, CHAIN.markMasquerade);

  const { mark, randomFully } = context;
  const masked = `${mark}/${mark}`;
  out.rule("nat", CHAIN.postrouting, "-m", "mark", "!", "--mark", masked, "-j", "RETURN");
  // The mark is cleared, so that a packet which comes by again is not masqueraded twice.
  out.rule("nat", CHAIN.postrouting, "-j", "MARK", "--xor-mark", mark);
  out.rule(
    "nat",
    CHAIN.postrouting,
    ...comment("kubernetes service traffic requiring SNAT"),
    "-j",
    "MASQUERADE",
    ...(randomFully ? ["--random-fully"] : []),
  );
  out.rule("nat", CHAIN.markMasquerade, "-j", "MARK", "--or-mark", mark);
  if (context.localhostNodePorts) guardLoopback(out);
  return out.build();
}

/**
 * With sysctl route_localnet, which node ports on loopback addresses need, neighbours could reach
 * services that listen on loopback only (CVE-2020-8558).
 */
function guardLoopback(out: FragmentBuilder): void {
  out.chains("filter", CHAIN.kubeletFirewall);
  out.rule("filter", CHAIN.kubeletFirewall, ...LOOPBACK_GUARD);
}

/** The rule that kubelet and proxy both keep in {@link CHAIN.kubeletFirewall}. */
const LOOPBACK_GUARD: readonly string[] = [
  ...comment("block incoming localnet connections"),
  ..."-d 127.0.0.0/8 ! -s 127.0.0.0/8".split(" "),
  ..."-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP".split(" "),
];

/** The way to node ports, which comes after every Service's address, and what is forwarded. */
export function renderTail(context: RuleContext): Fragment {
  const out = new FragmentBuilder();
  toNodePorts(out, context);
  forwarding(out, context);
  return out.build();
}

function toNodePorts(out: FragmentBuilder, context: RuleContext): void {
  const { family, localhostNodePorts, nodePortAddresses } = context;
  const text = "kubernetes service nodeports; NOTE: this must be the last rule in this chain";
  const rule = (...match: readonly string[]) =>
    out.rule("nat", CHAIN.services, ...comment(text), ...match, "-j", CHAIN.nodePorts);
  if (nodePortAddresses === null) {
    const except = family === "IPv6"
      ? ["!", "-d", "::1/128"]
      : localhostNodePorts
      ? []
      : ["!", "-d", "127.0.0.0/8"];
    rule("-m", "addrtype", "--dst-type", "LOCAL", ...except);
    return;
  }
  for (const address of nodePortAddresses) {
    if (address.startsWith("127.") && !localhostNodePorts) continue;
    rule("-d", address);
  }
}

function forwarding(out: FragmentBuilder, { mark, tcpLiberal, counters }: RuleContext): void {
  const rule = (...words: readonly string[]) => out.rule("filter", CHAIN.forward, ...words);
  if (!tcpLiberal) {
    // Left alone, an INVALID packet would go on without its addresses rewritten, and the peer that
    // does not know it would reset the connection.
    const count = counters.has(COUNTERS.invalidDropped)
      ? ["-m", "nfacct", "--nfacct-name", COUNTERS.invalidDropped]
      : [];
    rule("-m", "conntrack", "--ctstate", "INVALID", ...count, "-j", "DROP");
  }
  rule(
    ...comment("kubernetes forwarding rules"),
    ...["-m", "mark", "--mark", `${mark}/${mark}`, "-j", "ACCEPT"],
  );
  rule(
    ...comment("kubernetes forwarding conntrack rule"),
    ...["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
  );
}

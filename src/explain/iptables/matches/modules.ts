/**
 * Every match extension that is understood, by the name after -m.
 *
 * @module
 */

import { addrtype } from "./addrtype.ts";
import { base } from "./base.ts";
import { conntrack, stateModule } from "./conntrack.ts";
import { ipvs } from "./ipvs.ts";
import { connmark, mark } from "./mark.ts";
import {
  comment,
  connlimit,
  hashlimit,
  icmp,
  iprange,
  limit,
  nfacct,
  owner,
  physdev,
} from "./other.ts";
import { multiport, otherProtocol, sctp, tcp, udp } from "./ports.ts";
import { recent } from "./recent.ts";
import type { MatchModule } from "./result.ts";
import { set } from "./set.ts";
import { statistic } from "./statistic.ts";

export const MATCH_MODULES: ReadonlyMap<string, MatchModule> = new Map(Object.entries({
  base,
  tcp,
  udp,
  sctp,
  udplite: otherProtocol,
  dccp: otherProtocol,
  icmp,
  icmp6: icmp,
  icmpv6: icmp,
  "ipv6-icmp": icmp,
  multiport,
  comment,
  nfacct,
  mark,
  connmark,
  statistic,
  recent,
  conntrack,
  state: stateModule,
  addrtype,
  ipvs,
  set,
  limit,
  hashlimit,
  connlimit,
  iprange,
  physdev,
  owner,
}));

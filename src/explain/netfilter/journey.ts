/**
 * What any netfilter rules are walked with: the packet as it first comes, and its way on.
 *
 * @module
 */

import { familyOf } from "../../net/address.ts";
import type { ConnectionState, Flow, Step } from "../answer.ts";
import { type Hook, ip, type Packet } from "./packet.ts";
import type { Sender } from "./sender.ts";
import type { Path } from "./paths.ts";
import { isLocal, linkTo, type World } from "./world.ts";

/** The first packet of a flow, where it comes to netfilter. */
export function firstPacket(flow: Flow, sender: Sender, world: World): Packet {
  const source = sender.address;
  const dest = ip(flow.dest);
  const fromNode = isLocal(source, world);
  return {
    family: familyOf(flow.dest),
    protocol: flow.protocol,
    source,
    sourcePort: sender.port,
    dest,
    destPort: flow.port,
    hook: fromNode ? "OUTPUT" : "PREROUTING",
    in: fromNode ? "none" : linkTo(source, world),
    out: fromNode ? linkTo(dest, world) : "none",
    fromNode,
    mark: 0,
    connectionMark: 0,
    state: null,
    original: { source, dest, destPort: flow.port },
    redirected: false,
    masqueraded: false,
    intercepted: false,
    virtual: null,
    remembered: [],
  };
}

/** Connection tracking, which early rules come before. */
export function track(path: Path, state: ConnectionState): Path {
  const { packet } = path;
  return packet.state === null ? { ...path, packet: { ...packet, state } } : path;
}

export function moveTo(path: Path, hook: Hook): Path {
  return { ...path, packet: { ...path.packet, hook } };
}

/** The routing decision about a packet. */
export function routingStep({ dest }: Packet, action: string): Step {
  const where = { hook: null, table: null, chain: null, rule: null, line: null };
  return { ...where, text: `routing of ${dest.text}`, action };
}

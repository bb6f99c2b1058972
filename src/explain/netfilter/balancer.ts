/**
 * What a load balancer inside the kernel (IPVS) is to the packet's way through the hooks.
 *
 * @module
 */

import type { Step, UnknownRule } from "../answer.ts";
import type { Fraction } from "../fraction.ts";
import type { Packet, VirtualEnd } from "./packet.ts";

/** How the action ends when the kernel lets nothing with a loopback address out of the node. */
export const WITHHELD = "may not leave the node";

/** A step of the balancer; the hook is where it is asked. */
export type BalancerStep = Omit<Step, "hook">;

/** One of the servers that a packet may be sent to. */
export interface BalancedWay {
  readonly address: string;
  readonly port: number;
  readonly method: VirtualEnd["method"];
  readonly share: Fraction;
  readonly step: BalancerStep;
}

/** What the balancer does with a connection's first packet. */
export interface Scheduled {
  /** Empty, without {@link refused}: the packet is none of its business and goes on. */
  readonly ways: readonly BalancedWay[];
  /** There is nobody to send it to. */
  readonly refused: BalancerStep | null;
  /** What is not known of it, and bears on this packet. */
  readonly unknown: readonly UnknownRule[];
}

/** Asked in hooks INPUT and OUTPUT, about packets that it has not yet sent anywhere. */
export interface Balancer {
  schedule(packet: Packet): Scheduled;
}

/**
 * Packets by which the evaluators are held against a kernel with random rules.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Answer, Flow, Outcome } from "../../src/explain/answer.ts";
import { formatSocketAddress, parseNetwork } from "../../src/net/address.ts";
import { type KernelNode, NODE_ADDRESSES, type Sent } from "./iptables/kernel_node.ts";

/** The routes of a {@link KernelNode}. */
export const ROUTES = [
  { network: parseNetwork("10.1.0.0/16")!, interface: "left" },
  { network: parseNetwork("10.2.0.0/16")!, interface: "right" },
];

/** One of these. */
export const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);

/** All of these that are not empty, with blanks between them. */
export const words = (...parts: fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((word) => word !== "").join(" "));

type Packets = readonly Omit<Sent, "sourcePort">[];

/** Packets to these places beyond the node, or to it. */
export function packetsTo(
  dests: readonly string[],
  ports: readonly number[],
): fc.Arbitrary<Packets> {
  return fc.array(
    fc.record({
      source: pick("10.1.0.2", "10.1.0.3", "10.1.7.2"),
      dest: pick(...dests, ...NODE_ADDRESSES),
      port: pick(...ports),
      protocol: pick<"TCP" | "UDP">("TCP", "UDP"),
    }),
    { minLength: 8, maxLength: 8 },
  );
}

/** Sends packets to a node, each from a port of its own, so that it begins a connection. */
export class PacketSender {
  #sent = 0;

  constructor(private readonly node: KernelNode) {}

  /** Checks that what becomes of the packets is among what an evaluator says. */
  check(packets: Packets, ask: (flow: Flow) => Answer): void {
    for (const each of packets) {
      const packet: Sent = { ...each, sourcePort: 1024 + this.#sent++ % 60000 };
      const answer = ask({ name: "", ...packet });
      assert.deepEqual(answer.unknown, []);
      const total = answer.outcomes.reduce((sum, outcome) => sum + outcome.probability, 0);
      assert(Math.abs(total - 1) < 1e-12, `probabilities add up to ${total}`);
      const possible = answer.outcomes.map((outcome) => fate(outcome, packet));
      const real = this.node.send(packet);
      assert(
        possible.includes(real),
        `${JSON.stringify(packet)} was ${real}, not ${possible.join(" or ")}`,
      );
    }
  }
}

/** An outcome in the words of {@link KernelNode.send}. */
export function fate(outcome: Outcome, packet: Sent): string {
  if (outcome.verdict === "DROP") return "dropped";
  if (outcome.verdict === "REJECT") return "rejected";
  const { address, port } = outcome.backend ?? { address: packet.dest, port: packet.port };
  if (address.startsWith("127.") || (NODE_ADDRESSES as readonly string[]).includes(address)) {
    return "delivered";
  }
  return `${formatSocketAddress(address, port)}${outcome.masquerade ? ", masqueraded" : ""}`;
}

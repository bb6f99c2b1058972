/**
 * Who answered a scenario's questions, and what rules refused, whatever the mode that has the rules.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Outcome } from "../../src/lab/probe.ts";
import type { Flow } from "./format.ts";
import type { LabNetwork } from "./lab_network.ts";

/** From where to where something is asked. */
export type Way = Pick<Flow, "from" | "to">;

/** Someone who answered: where, and whom it took for its client. */
export interface Answered {
  readonly address: string;
  readonly port: number;
  /** Null: UDP servers don't tell. */
  readonly client: string | null;
}

/** Packets by what was done to them. */
export type Refusals = Readonly<Record<"REJECT" | "DROP", bigint>>;

/** Who it is that answered with this text, which is TCP servers' "/info" and UDP servers' address. */
export function answeredBy(network: LabNetwork, { to }: Way, text: string): Answered {
  if (to.protocol === "TCP") {
    const { address, port, client } = JSON.parse(text);
    return { address, port, client: client.address };
  }
  const ports = network.portsOf(text, "UDP");
  assert.equal(ports.length, 1, `${text} has UDP ports ${ports}`);
  return { address: text, port: ports[0], client: null };
}

/** The one client that all of them saw. */
export function clientOf(answers: readonly Answered[]): string | null {
  const clients = new Set(answers.map(({ client }) => client));
  assert.equal(clients.size, 1, "the same for every connection");
  const [client] = clients;
  return client;
}

/** Tells those who answer apart. */
export function nameOf({ address, port }: Pick<Answered, "address" | "port">): string {
  return `${address} ${port}`;
}

/**
 * What a rule did, by its counter and to the client's eyes; null: no rule refused anything. A client
 * whose patience was short may have missed that it was refused, and is asked `again`.
 */
export async function verdictOf(
  outcome: Outcome,
  before: Refusals,
  after: Refusals,
  again: () => Promise<Outcome>,
): Promise<"REJECT" | "DROP" | null> {
  const dropped = after.DROP > before.DROP;
  if (after.REJECT > before.REJECT) {
    const { kind } = outcome.kind === "timeout" ? await again() : outcome;
    assert.equal(kind, "refused");
    assert.ok(!dropped, "rejected and dropped");
    return "REJECT";
  }
  if (dropped) assert.equal(outcome.kind, "timeout");
  return dropped ? "DROP" : null;
}

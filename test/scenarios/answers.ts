/**
 * Who answered a scenario's questions, and what rules refused, whatever the mode that has the rules.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Outcome } from "../../src/lab/probe.ts";
import type { Flow } from "./format.ts";
import type { LabNetwork } from "./lab_network.ts";
import type { FlowOutcome } from "./runner.ts";

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

/** Whether it is whoever has the address that was dialled. */
export function isDialled({ to }: Way, { address, port }: Answered): boolean {
  return address === to.address && port === to.port;
}

/** What becomes of a flow that no backend gets. */
export function notForwarded(verdict: "REJECT" | "DROP" | "PASS"): FlowOutcome {
  return { verdict, backends: [], sticky: null };
}

/**
 * What became of a flow by the answers to many connections.
 *
 * @param masquerade whether one backend's answers come of masqueraded connections
 */
export function forwardedTo(
  answers: readonly Answered[],
  sticky: boolean,
  masquerade: (own: readonly Answered[]) => boolean | null,
): FlowOutcome {
  const byName = Map.groupBy(answers, nameOf);
  return {
    verdict: "FORWARD",
    sticky: byName.size > 1 ? sticky : null,
    backends: [...byName.values()].map((own) => ({
      address: own[0].address,
      port: own[0].port,
      probability: own.length / answers.length,
      masquerade: masquerade(own),
    })),
  };
}

/** What was refused between two times of counting. */
export function refusedSince(before: Refusals, after: Refusals): Refusals {
  return { REJECT: after.REJECT - before.REJECT, DROP: after.DROP - before.DROP };
}

/**
 * What a rule did, by what was refused and to the client's eyes; null: no rule refused anything. A
 * client whose patience was short may have missed that it was refused, and is asked `again`.
 */
export async function verdictOf(
  outcome: Outcome,
  { REJECT, DROP }: Refusals,
  again: () => Promise<Outcome>,
): Promise<"REJECT" | "DROP" | null> {
  if (REJECT > 0n) {
    const { kind } = outcome.kind === "timeout" ? await again() : outcome;
    assert.equal(kind, "refused");
    assert.equal(DROP, 0n, "rejected and dropped");
    return "REJECT";
  }
  if (DROP === 0n) return null;
  assert.equal(outcome.kind, "timeout");
  return "DROP";
}

/**
 * userspace mode as a data plane: real packets in a lab, and what its engine says about them.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Protocol } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { UserspaceDataPlane } from "../../src/dataplane/userspace/dataplane.ts";
import type { Outcome } from "../../src/lab/probe.ts";
import { Planner } from "../../src/plan/planner.ts";
import { type Configuration, type Flow, plannerConfig } from "./format.ts";
import { LabNetwork } from "./lab_network.ts";
import type { FlowOutcome, ScenarioDriver } from "./runner.ts";

/** Connections per backend: with round robin, each must get exactly as many. */
const ROUNDS = 3;
/** How long silence must last to be taken for a drop, in milliseconds. */
const SILENCE_MS = 400;

/**
 * Sends real connections from where a flow begins and sees who answers. Whether they were
 * masqueraded cannot be compared: userspace mode always does, as replies must come back through
 * the engine.
 */
export class UserspaceDriver implements ScenarioDriver {
  readonly name = "userspace";
  readonly kind = "lab";
  readonly tolerance = 0;
  #planner: Planner | null = null;
  #network: LabNetwork | null = null;
  #dataPlane: UserspaceDataPlane | null = null;

  async start(configuration: Configuration): Promise<void> {
    this.#planner = new Planner({ ...plannerConfig(configuration), scheduler: "rr" });
    this.#network = await LabNetwork.start(configuration);
    const { nodeNamespaceFd } = this.#network;
    this.#dataPlane = await UserspaceDataPlane.start({ namespaceFd: nodeNamespaceFd });
  }

  async step(changes: readonly ClusterChange[]): Promise<void> {
    await this.#network!.apply(changes);
    const change = this.#planner!.update(changes);
    await this.#dataPlane!.sync(this.#planner!.plan, change);
  }

  async flow(flow: Pick<Flow, "from" | "to">): Promise<FlowOutcome> {
    const { from, to } = flow;
    const [said] = await this.#dataPlane!.engine.lookup([
      { source: from, dest: to.address, port: to.port, protocol: to.protocol },
    ]);
    const count = Math.max(1, said.backends.length) * ROUNDS;
    // Who is refused is told so; only silence has to be waited for.
    const speaks = said.verdict === "FORWARD" || said.verdict === "REJECT";
    const options = speaks ? { count } : { timeoutMs: SILENCE_MS };
    const outcomes = await this.#network!.probe(flow, options);
    const counts = new Map<string, number>();
    for (const outcome of outcomes) {
      assert.ok(agrees(outcome, said.verdict), JSON.stringify({ said, outcome }));
      if (outcome.kind !== "answer") continue;
      counts.set(outcome.pod, (counts.get(outcome.pod) ?? 0) + 1);
    }
    const sticky = said.backends.length > 1 && counts.size === 1;
    return {
      verdict: said.verdict,
      sticky: said.backends.length > 1 ? sticky : null,
      backends: sticky || said.verdict !== "FORWARD"
        ? said.backends.map((backend) => ({ ...backend, masquerade: null }))
        : [...counts].map(([address, times]) => ({
          address,
          port: this.#portOf(address, to.protocol, said.backends),
          probability: times / count,
          masquerade: null,
        })),
    };
  }

  async stop(): Promise<void> {
    await this.#dataPlane?.stop();
    await this.#network?.stop();
    this.#dataPlane = this.#network = null;
  }

  /** The port on which the server at the address answered: the engine's word, if it serves there. */
  #portOf(
    address: string,
    protocol: Protocol,
    backends: readonly { readonly address: string; readonly port: number }[],
  ): number {
    const port = backends.find((backend) => backend.address === address)?.port;
    const serves = port !== undefined && this.#network!.portsOf(address, protocol).includes(port);
    assert.ok(serves, `${address} answered, which is no backend`);
    return port;
  }
}

/** Whether what a client saw is what the engine said it would. */
function agrees(outcome: Outcome, verdict: FlowOutcome["verdict"]): boolean {
  switch (verdict) {
    case "FORWARD":
      return outcome.kind === "answer";
    case "REJECT":
      return outcome.kind === "refused";
    case "DROP":
      return outcome.kind === "timeout";
    // Whoever has the address, or nobody.
    case "PASS":
      return true;
  }
}

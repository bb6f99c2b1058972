/**
 * userspace mode as a data plane: real packets in a lab, and what its engine says about them.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EndpointSlice, Protocol } from "../../src/cluster/objects.ts";
import { objectKey } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { UserspaceDataPlane } from "../../src/dataplane/userspace/dataplane.ts";
import { Lab } from "../../src/lab/lab.ts";
import type { Outcome } from "../../src/lab/probe.ts";
import { CLIENT, NODE, type Server, serversFor, STRANGER } from "../../src/lab/topology.ts";
import { Planner } from "../../src/plan/planner.ts";
import { type Configuration, type Flow, plannerConfig } from "./format.ts";
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
  readonly tolerance = 0;
  readonly #slices = new Map<string, EndpointSlice>();
  #configuration: Configuration | null = null;
  #planner: Planner | null = null;
  #lab: Lab | null = null;
  #dataPlane: UserspaceDataPlane | null = null;
  #servers: Server[] = [];

  async start(configuration: Configuration): Promise<void> {
    const addresses = configuration.nodeAddresses;
    this.#configuration = configuration;
    this.#planner = new Planner({ ...plannerConfig(configuration), scheduler: "rr" });
    this.#lab = await Lab.start({ node: { name: configuration.node, addresses } });
    this.#dataPlane = await UserspaceDataPlane.start({ namespaceFd: this.#lab.nodeNamespaceFd });
  }

  async step(changes: readonly ClusterChange[]): Promise<void> {
    for (const { action, object } of changes) {
      if (object.kind !== "EndpointSlice") continue;
      if (action === "apply") this.#slices.set(objectKey(object), object);
      else this.#slices.delete(objectKey(object));
    }
    // Every server answers with its address, which is what scenarios speak of. The lab's do not
    // speak SCTP.
    this.#servers = serversFor([], this.#slices.values()).flatMap((server) =>
      server.addresses.map((address) => ({
        ...server,
        name: address,
        hostname: address,
        ports: server.ports.filter((port) => port.protocol !== "SCTP"),
      }))
    );
    assert.deepEqual(await this.#lab!.setServers(this.#servers), []);
    const change = this.#planner!.update(changes);
    await this.#dataPlane!.sync(this.#planner!.plan, change);
  }

  async flow({ from, to }: Pick<Flow, "from" | "to">): Promise<FlowOutcome> {
    const machine = await this.#machine(from);
    const [said] = await this.#dataPlane!.engine.lookup([
      { source: from, dest: to.address, port: to.port, protocol: to.protocol },
    ]);
    const count = Math.max(1, said.backends.length) * ROUNDS;
    const options = said.verdict === "FORWARD" ? { count } : { timeoutMs: SILENCE_MS };
    const outcomes = await this.#lab!.probe(machine, to, options);
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
    await this.#lab?.stop();
    this.#dataPlane = this.#lab = null;
    this.#slices.clear();
  }

  /** The machine that has the address; one that only dials is added where there is none. */
  async #machine(address: string): Promise<string> {
    if (this.#configuration!.nodeAddresses.includes(address)) return NODE;
    for (const client of [CLIENT, STRANGER]) {
      if (client.addresses.includes(address)) return client.name;
    }
    if (!this.#servers.some((server) => server.addresses.includes(address))) {
      this.#servers.push({ name: address, hostname: address, addresses: [address], ports: [] });
      assert.deepEqual(await this.#lab!.setServers(this.#servers), []);
    }
    return address;
  }

  /** The port on which the server at the address answered: the engine's word, if it serves there. */
  #portOf(
    address: string,
    protocol: Protocol,
    backends: readonly { readonly address: string; readonly port: number }[],
  ): number {
    const port = backends.find((backend) => backend.address === address)?.port;
    const server = this.#servers.find((server) => server.addresses.includes(address));
    const serves = server?.ports.some((own) => own.port === port && own.protocol === protocol);
    assert.ok(port !== undefined && serves, `${address} answered, which is no backend`);
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

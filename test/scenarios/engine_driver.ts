/**
 * The packet engine as a data plane: packets in its slots, and what it says about them beforehand.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DROP_REASONS, DropReason, PacketVerdict } from "../../src/engine/abi.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { LookupResult } from "../../src/engine/handle.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { Planner } from "../../src/plan/planner.ts";
import { buildPacket, checksumError, parsePacket } from "../engine/packets.ts";
import { sctpInit } from "../engine/sctp_packets.ts";
import { type Configuration, type Flow, plannerConfig } from "./format.ts";
import type { FlowOutcome, ScenarioDriver } from "./runner.ts";

/** Connections per backend: with round robin, each must get exactly as many. */
const ROUNDS = 3;
/** Longer than any session affinity or connection lives. */
const AGES_MS = 10 * 86_400_000;
/** Not the node's addresses, so that masquerade shows when the node itself is the client. */
const MASQUERADE = { IPv4: "192.168.50.250", IPv6: "fd00:50::250" };
/** Drops that mean what scenarios call DROP. */
const POLICY_DROPS = [DropReason.SourceRange, DropReason.NoLocalEndpoint];

interface Sent {
  readonly verdict: FlowOutcome["verdict"];
  readonly address: string;
  readonly port: number;
  readonly masquerade: boolean;
}

/** Sends the first packets of connections; each must go where a lookup has said that it would. */
export class EngineDriver implements ScenarioDriver {
  readonly name = "engine";
  readonly tolerance = 0;
  #planner: Planner | null = null;
  #engine: Engine | null = null;
  #nowMs = 0;

  start(configuration: Configuration): Promise<void> {
    this.#planner = new Planner({ ...plannerConfig(configuration), scheduler: "rr" });
    this.#engine = Engine.create({
      seed: 1n,
      slots: 1,
      connections: 1024,
      backends: 4096,
      masqueradeAddresses: MASQUERADE,
    });
    this.#nowMs = 0;
    return Promise.resolve();
  }

  step(changes: readonly ClusterChange[]): Promise<void> {
    this.#engine!.apply(this.#planner!.update(changes));
    return Promise.resolve();
  }

  flow(flow: Pick<Flow, "from" | "to">): Promise<FlowOutcome> {
    // Connections and affinities of earlier flows are over.
    this.#nowMs += AGES_MS;
    const said = this.#lookup(flow, 10000);
    const count = Math.max(1, said.backends.length) * ROUNDS;
    const sent = Array.from({ length: count }, (_, i) => this.#send(flow, 10000 + i));
    for (const { verdict } of sent) assert.equal(verdict, said.verdict);
    const counts = new Map<string, { readonly sent: Sent; times: number }>();
    for (const one of sent) {
      const key = `${one.address} ${one.port}`;
      const entry = counts.get(key) ?? { sent: one, times: 0 };
      entry.times++;
      counts.set(key, entry);
    }
    const sticky = said.backends.length > 1 && counts.size === 1;
    const measured = [...counts.values()].map(({ sent, times }) => ({
      ...sent,
      probability: times / count,
    }));
    return Promise.resolve({
      verdict: said.verdict,
      sticky: said.backends.length > 1 ? sticky : null,
      backends: said.verdict !== "FORWARD"
        ? []
        : sticky
        ? said.backends.map((backend) => ({ ...backend, masquerade: null }))
        : measured,
    });
  }

  stop(): Promise<void> {
    this.#planner = this.#engine = null;
    return Promise.resolve();
  }

  #lookup({ from, to }: Pick<Flow, "from" | "to">, sourcePort: number): LookupResult {
    const query = { source: from, sourcePort, dest: to.address, ...to };
    return this.#engine!.lookup([query], this.#nowMs)[0];
  }

  /** Sends one packet, which must go where a lookup just before has said. */
  #send(flow: Pick<Flow, "from" | "to">, sourcePort: number): Sent {
    const said = this.#lookup(flow, sourcePort);
    const engine = this.#engine!;
    const { from, to } = flow;
    const spec = { source: from, sourcePort, dest: to.address, ...to };
    const packet = to.protocol === "SCTP" ? sctpInit(spec) : buildPacket(spec);
    engine.slotBytes(0).set(packet);
    engine.setLength(0, packet.length);
    engine.process(0, 1, this.#nowMs);
    const nothing = { address: "", port: 0, masquerade: false };
    switch (engine.verdict(0)) {
      case PacketVerdict.Drop: {
        const reason = engine.detail(0);
        assert.ok(POLICY_DROPS.includes(reason), `dropped: ${DROP_REASONS[reason]}`);
        return { verdict: "DROP", ...nothing };
      }
      case PacketVerdict.Reply:
        return { verdict: "REJECT", ...nothing };
      case PacketVerdict.Pass:
        return { verdict: "PASS", ...nothing };
    }
    const bytes = engine.slotBytes(0).slice(0, engine.outputLength(0));
    assert.equal(checksumError(bytes), null);
    const { source, dest, port } = parsePacket(bytes);
    assert.deepEqual({ address: dest, port }, said.backend, said.reason);
    assert.equal(source !== from, said.masquerade, "masquerade as looked up");
    return { verdict: "FORWARD", address: dest, port, masquerade: said.masquerade };
  }
}

/**
 * The engine against what the kernel's IPVS picked, packet by packet, as it was recorded.
 */

import assert from "node:assert/strict";
import type { SchedulerFlagName, SchedulerName } from "../../src/plan/plan.ts";
import { type Operation, type Recording, recordings } from "../fixtures/ipvs/recording.ts";
import { Bench, type ServiceSpec } from "./harness.ts";
import { ACK, FIN, SYN } from "./packets.ts";

/** A server that the recordings don't have. */
const SPARE = "10.62.0.1:1*0";

/** UDP connections are gone after this time, ms. */
const UDP_OVER = 31_000;

/** A virtual server in an engine that goes through the recorded operations. */
class Replay {
  readonly #recording: Recording;
  readonly #bench: Bench;
  /** Weights by server, oldest first. */
  readonly #weights = new Map<number, number>();
  readonly #connections: { client: number; port: number; dest: number; server: number }[] = [];
  /** A source port for packets whose client does not matter. */
  #nextPort = 1024;

  constructor(recording: Recording) {
    this.#recording = recording;
    this.#bench = new Bench([this.#spec()], {
      overhead: recording.overhead === 257 ? "all" : "inactive",
      connections: 8192,
      backends: 1024,
    });
  }

  /** Does an operation; what comes of it must be what the kernel did. */
  step(operation: Operation, where: string): void {
    switch (operation[0]) {
      case "add":
      case "set":
        if (this.#weights.get(operation[1]) === operation[2]) this.#touch();
        this.#weights.set(operation[1], operation[2]);
        return this.#bench.update(this.#spec());
      case "remove":
        this.#weights.delete(operation[1]);
        return this.#bench.update(this.#spec());
      case "send": {
        const [, packets, picks] = operation;
        picks.forEach((pick, i) => {
          const [client, port, dest] = packets?.slice(3 * i, 3 * i + 3) ?? [0, this.#port(), 0];
          assert.equal(this.#send(client, port, dest, SYN), pick, `${where}, packet ${i}`);
          // One-packet scheduling: nothing is left of it.
          this.#bench.nowMs += UDP_OVER;
          this.#bench.engine.expire(this.#bench.nowMs, 8192);
        });
        return;
      }
      case "open": {
        const [, client, port, dest, pick] = operation;
        assert.equal(this.#send(client, port, dest, SYN), pick, where);
        this.#connections.push({ client, port, dest, server: pick });
        if (pick === -1 || this.#recording.traffic !== "tcp") return;
        this.#answer(pick, client, port, SYN | ACK);
        assert.equal(this.#send(client, port, dest, ACK), pick);
        return;
      }
      case "close": {
        const { client, port, dest, server } = this.#connections[operation[1]];
        assert.equal(this.#send(client, port, dest, FIN | ACK), server);
        return this.#answer(server, client, port, FIN | ACK);
      }
      case "counts":
        return this.#compareCounts(operation[1], where);
    }
  }

  /**
   * An edit that changes nothing, of which plans know nothing, takes wrr to the list's head. So does
   * a server of weight 0 that comes and goes, and as little else.
   */
  #touch(): void {
    const spec = this.#spec();
    this.#bench.update({ ...spec, backends: [...spec.backends, SPARE] });
    this.#bench.update(spec);
  }

  #port(): number {
    return this.#nextPort++;
  }

  #place(server: number): string {
    const [address, port] = this.#recording.servers[server];
    return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  }

  get #protocol(): "TCP" | "UDP" {
    return this.#recording.traffic === "tcp" ? "TCP" : "UDP";
  }

  #spec(): ServiceSpec {
    const { scheduler, flags, destinations, port, servers, traffic } = this.#recording;
    const removed = servers.map((_, i) => i).filter((server) => !this.#weights.has(server));
    return {
      protocol: this.#protocol,
      scheduler: scheduler as SchedulerName,
      schedulerFlags: flags as SchedulerFlagName[],
      backends: [...this.#weights].map(([server, weight]) => `${this.#place(server)}*${weight}`),
      // The engine ends UDP connections with their endpoint, IPVS by itself does not.
      local: traffic === "udp" ? removed.map((server) => this.#place(server)) : [],
      frontends: destinations.map((address) => ({ address, port })),
      route: { action: "forward", to: "cluster", masquerade: false },
    };
  }

  /** Sends a client's packet; the server that gets it, −1 for none. */
  #send(client: number, sourcePort: number, dest: number, flags: number): number {
    const { clients, destinations, port, servers } = this.#recording;
    const { verdict, route } = this.#bench.send({
      source: clients[client],
      sourcePort,
      dest: destinations[dest],
      port,
      protocol: this.#protocol,
      flags,
      seq: flags === SYN ? 1000 : 1001,
      ack: flags === SYN ? 0 : 5001,
    });
    if (/^reply|^drop: reject_rate/.test(verdict)) return -1;
    const to = route.slice(route.indexOf("> ") + 2);
    return servers.findIndex(([address, port]) => `${address}:${port}` === to);
  }

  #answer(server: number, client: number, port: number, flags: number): void {
    const { servers, clients } = this.#recording;
    const { verdict } = this.#bench.send({
      source: servers[server][0],
      sourcePort: servers[server][1],
      dest: clients[client],
      port,
      flags,
      seq: flags === (SYN | ACK) ? 5000 : 5001,
      ack: flags === (SYN | ACK) ? 1001 : 1002,
    });
    assert.equal(verdict, "forward: tracked");
  }

  #compareCounts(counts: (Operation & { 0: "counts" })[1], where: string): void {
    const { backends } = this.#bench.engine.counters();
    const got = this.#recording.servers.map(([address, port], i) => {
      if (!this.#weights.has(i)) return null;
      const found = backends.find(({ backend }) =>
        backend.address === address && backend.port === port
      );
      return found!.active;
    });
    const expected = counts.map((each) => each === null ? null : each[0] + each[1]);
    assert.deepEqual(got, expected, where);
  }
}

/** Whether a recording has limits of connections per server, which Services don't have. */
function hasThresholds({ operations }: Recording): boolean {
  return operations.some((operation) =>
    (operation[0] === "add" || operation[0] === "set") && operation.length > 3
  );
}

for (const [name, recording] of recordings()) {
  if (hasThresholds(recording)) continue;
  Deno.test(`the engine picks what Linux ${recording.kernel} picked: ${name}`, () => {
    const replay = new Replay(recording);
    recording.operations.forEach((operation, i) => replay.step(operation, `operation ${i}`));
  });
}

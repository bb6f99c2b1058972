/**
 * A node with a network around it, an agent that can be killed and programs that can fail.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { IptablesDataPlane } from "../../../src/dataplane/iptables/dataplane.ts";
import {
  type Backend,
  programName,
  ProgramRunner,
} from "../../../src/dataplane/iptables/programs.ts";
import type { EngineHandle } from "../../../src/engine/handle.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { testPlanner } from "../../dataplane/iptables/plans.ts";
import { requires } from "../../requirements.ts";
import { AgentProcess } from "./agent.ts";
import type { ProcessOptions } from "./agent_process.ts";
import { TestNetwork } from "./network.ts";
import { FaultyPrograms } from "./programs.ts";

/** Everything that one test needs. */
export class Bed implements AsyncDisposable {
  readonly programs = new FaultyPrograms();
  readonly #runner: ProgramRunner;
  readonly #agents: AgentProcess[] = [];

  private constructor(readonly backend: Backend, readonly network: TestNetwork) {
    this.#runner = new ProgramRunner(network.node);
  }

  static async start(backend: Backend): Promise<Bed> {
    return new Bed(backend, await TestNetwork.start());
  }

  /** Starts an agent on the node, with the programs that can fail. */
  async agent(options: Partial<ProcessOptions> = {}): Promise<AgentProcess> {
    const agent = await AgentProcess.start(this.network.node, this.programs.path, {
      ...options,
      backend: this.backend,
    });
    this.#agents.push(agent);
    return agent;
  }

  /** Starts an agent that has this state on the node. */
  async agentWith(
    objects: readonly ClusterObject[],
    options: Partial<ProcessOptions> = {},
  ): Promise<AgentProcess> {
    const agent = await this.agent(options);
    await agent.apply(...objects);
    assert.equal(await agent.synced(), true, agent.log.join("\n"));
    return agent;
  }

  /** Runs the real iptables on the node. */
  async iptables(...args: readonly string[]): Promise<string> {
    const name = programName({ suffix: `-${this.backend}` }, "IPv4", "");
    const { code, stdout, stderr } = await this.#runner.run(name, ["-w", "5", ...args]);
    assert.equal(code, 0, `${name} ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** All rules of the node: sorted lines of chains and rules by table, without counters. */
  async rules(): Promise<string[]> {
    return await savedRules(this.#runner, this.backend);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents) await agent[Symbol.asyncDispose]();
    this.programs[Symbol.dispose]();
    await this.network[Symbol.asyncDispose]();
  }
}

/** A test with each implementation of iptables. */
export function faultTest(
  name: string,
  fn: (bed: Bed) => Promise<void>,
  backends: readonly Backend[] = ["nft", "legacy"],
): void {
  for (const backend of backends) {
    Deno.test({
      ...requires(
        `iptables (${backend}): ${name}`,
        "root",
        "netns",
        `iptables-${backend}`,
        `iptables-${backend}-restore`,
      ),
      async fn() {
        await using bed = await Bed.start(backend);
        await fn(bed);
      },
    });
  }
}

/** The rules of a node that never had any others than those for these objects. */
export async function cleanRules(
  backend: Backend,
  objects: readonly ClusterObject[],
): Promise<string[]> {
  using namespace = NetworkNamespace.create();
  const planner = testPlanner({ families: ["IPv4"] });
  const change = planner.update(objects.map((object) => ({ action: "apply", object })));
  const plane = await IptablesDataPlane.start({
    engine: { apply: () => Promise.resolve() } as Partial<EngineHandle> as EngineHandle,
    families: ["IPv4"],
    backend,
    namespaceFd: namespace.fd,
    canaryPeriodMs: 0,
  });
  await plane.sync(planner.plan, change);
  await plane.stop();
  return await savedRules(new ProgramRunner(namespace), backend);
}

async function savedRules(runner: ProgramRunner, backend: Backend): Promise<string[]> {
  const name = programName({ suffix: `-${backend}` }, "IPv4", "-save");
  const { code, stdout, stderr } = await runner.run(name, []);
  assert.equal(code, 0, stderr);
  let table = "";
  return stdout.split("\n").flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    if (!/^[:-]/.test(line)) return [];
    return `${table} ${line.replace(/ \[\d+:\d+\]/, "")}`;
  }).sort();
}

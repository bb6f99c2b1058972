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
import type { Family } from "../../../src/net/address.ts";
import { testPlanner } from "../../dataplane/iptables/plans.ts";
import { requires } from "../../requirements.ts";
import { AgentProcess } from "./agent.ts";
import type { ProcessOptions } from "./agent_process.ts";
import { dataIn, textIn } from "./families.ts";
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

  static async start(backend: Backend, family: Family = "IPv4"): Promise<Bed> {
    return new Bed(backend, await TestNetwork.start(family));
  }

  get family(): Family {
    return this.network.family;
  }

  /** Starts an agent on the node, with the programs that can fail. */
  async agent(options: Partial<ProcessOptions> = {}): Promise<AgentProcess> {
    const agent = await AgentProcess.start(this.network.node, this.programs.path, {
      ...options,
      backend: this.backend,
      family: this.family,
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

  /** Runs the real iptables of the family on the node. */
  async iptables(...args: readonly string[]): Promise<string> {
    const name = programName({ suffix: `-${this.backend}` }, this.family, "");
    const translated = args.map((arg) => textIn(this.family, arg));
    const { code, stdout, stderr } = await this.#runner.run(name, ["-w", "5", ...translated]);
    assert.equal(code, 0, `${name} ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** All rules of the node: sorted lines of chains and rules by table, without counters. */
  async rules(): Promise<string[]> {
    return await savedRules(this.#runner, this.backend, this.family);
  }

  /** The rules of a node that never had any others than those for these objects. */
  async cleanRules(objects: readonly ClusterObject[]): Promise<string[]> {
    const { backend, family } = this;
    using namespace = NetworkNamespace.create();
    const planner = testPlanner({ families: [family] });
    const translated = dataIn(family, objects);
    const change = planner.update(translated.map((object) => ({ action: "apply", object })));
    const plane = await IptablesDataPlane.start({
      engine: { apply: () => Promise.resolve() } as Partial<EngineHandle> as EngineHandle,
      families: [family],
      backend,
      namespaceFd: namespace.fd,
      canaryPeriodMs: 0,
    });
    await plane.sync(planner.plan, change);
    await plane.stop();
    return await savedRules(new ProgramRunner(namespace), backend, family);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents) await agent[Symbol.asyncDispose]();
    this.programs[Symbol.dispose]();
    await this.network[Symbol.asyncDispose]();
  }
}

/** Which implementations a test is run with, by family. */
export type Places = Readonly<Record<Family, readonly Backend[]>>;

const BOTH: readonly Backend[] = ["nft", "legacy"];
/** Both in IPv4, and the quicker one in IPv6. */
const USUAL: Places = { IPv4: BOTH, IPv6: ["legacy"] };
/** Where the family makes no difference. */
export const IPV4_ONLY: Places = { IPv4: BOTH, IPv6: [] };

/** A test in each of these places. */
export function faultTest(
  name: string,
  fn: (bed: Bed) => Promise<void>,
  places: Partial<Places> = {},
): void {
  const { IPv4, IPv6 } = { ...USUAL, ...places };
  const all = [
    ...IPv4.map((backend) => ({ backend, family: "IPv4" as const, program: "iptables" })),
    ...IPv6.map((backend) => ({ backend, family: "IPv6" as const, program: "ip6tables" })),
  ];
  for (const { backend, family, program } of all) {
    Deno.test({
      ...requires(
        `${program} (${backend}): ${name}`,
        "root",
        "netns",
        `${program}-${backend}`,
        `${program}-${backend}-restore`,
      ),
      async fn() {
        await using bed = await Bed.start(backend, family);
        await fn(bed);
      },
    });
  }
}

async function savedRules(
  runner: ProgramRunner,
  backend: Backend,
  family: Family,
): Promise<string[]> {
  const name = programName({ suffix: `-${backend}` }, family, "-save");
  const { code, stdout, stderr } = await runner.run(name, []);
  assert.equal(code, 0, stderr);
  let table = "";
  return stdout.split("\n").flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    if (!/^[:-]/.test(line)) return [];
    return `${table} ${line.replace(/ \[\d+:\d+\]/, "")}`;
  }).sort();
}

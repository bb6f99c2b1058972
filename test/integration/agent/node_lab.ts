/** A node in a lab, the agent on it as a process of its own, and a client that never stops asking. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { Lab } from "../../../src/lab/lab.ts";
import type { Outcome, Target } from "../../../src/lab/probe.ts";
import { CLIENT, DEFAULT_NODE, type Server } from "../../../src/lab/topology.ts";
import { Program } from "../../commands/processes.ts";
import { until as eventually } from "../../until.ts";

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));

/**
 * The thread that makes one is in the node's network namespace until it is disposed of, so that
 * what it listens on and dials is the node's.
 */
export class NodeLab implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #node: NetworkNamespace;
  readonly #home: NetworkNamespace;
  readonly #runner: ProgramRunner;

  private constructor(lab: Lab, home: NetworkNamespace) {
    this.#lab = lab;
    this.#home = home;
    this.#node = NetworkNamespace.fromFd(lab.nodeNamespaceFd);
    this.#node.enter();
    this.#runner = new ProgramRunner(null);
  }

  static async start(): Promise<NodeLab> {
    const home = NetworkNamespace.current();
    return new NodeLab(await Lab.start(), home);
  }

  get nodeName(): string {
    return DEFAULT_NODE.name;
  }

  /** Brings up these servers and no others. */
  async serve(servers: readonly Server[]): Promise<void> {
    assert.deepEqual(await this.#lab.setServers(servers), []);
  }

  ask(target: Target, count = 1, timeoutMs = CLIENT_PATIENCE_MS): Promise<Outcome[]> {
    return this.#lab.probe(CLIENT.name, target, { count, concurrency: 4, timeoutMs });
  }

  /** Waits until the client's questions have an outcome that fits. */
  async until(target: Target, fits: (outcome: Outcome) => boolean, what: string): Promise<void> {
    await eventually(async () => fits((await this.ask(target, 1, 500))[0]), what);
  }

  /** Starts the agent and waits until it serves. */
  async agent(args: readonly string[]): Promise<Program> {
    const program = new Program([
      MAIN,
      "run",
      `--hostname-override=${this.nodeName}`,
      ...DEFAULT_NODE.addresses.map((address) => `--node-ip=${address}`),
      "--output=json",
      ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
      ...args,
    ]);
    try {
      await program.line();
    } catch (error) {
      await program.kill();
      throw error;
    }
    return program;
  }

  /**
   * The rules of a family as iptables-save writes them, without counters; in chains that Services
   * share, in an order that does not depend on history.
   */
  async rules(family: "IPv4" | "IPv6" = "IPv4"): Promise<string[]> {
    const program = family === "IPv4" ? "iptables-save" : "ip6tables-save";
    const { stdout } = await this.#runner.run(program, []);
    const lines: string[] = [];
    for (const line of stdout.split("\n")) {
      if (line.startsWith("*") || line.startsWith("-A KUBE-")) lines.push(line);
    }
    return sortShared(lines);
  }

  /** kube-proxy's table of IPv4 as `nft list` has it, in an order that does not depend on history. */
  async table(): Promise<string[]> {
    const { stdout } = await this.#runner.run("nft", ["list", "table", "ip", "kube-proxy"]);
    return blocksOf(stdout).sort().flatMap((block) => block.split("\n"));
  }

  /** Removes what the agent has left. */
  async cleanup(): Promise<void> {
    const program = new Program([MAIN, "cleanup"]);
    const { code, stderr } = await program.end();
    assert.equal(code, 0, stderr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#home.enter();
    this.#home.close();
    await this.#lab.stop();
  }
}

const SHARED = /^-A (KUBE-(?:SERVICES|NODEPORTS|EXTERNAL-SERVICES|PROXY-FIREWALL)) /;

function sortShared(lines: readonly string[]): string[] {
  const sorted: string[] = [];
  let run: string[] = [];
  let chain = "";
  for (const line of [...lines, ""]) {
    const shared = SHARED.exec(line)?.[1] ?? "";
    if (shared !== chain) {
      sorted.push(...run.sort());
      run = [];
      chain = shared;
    }
    if (shared === "") sorted.push(line);
    else run.push(line);
  }
  return sorted;
}

/** Chains, sets and maps of a table; elements are sorted, and clients left out. */
function blocksOf(table: string): string[] {
  return table.split(/\n\t\}\n/).map((block) => {
    const [, head, elements = ""] = /^([^]*?)(?:elements = \{([^]*)\}\s*)?$/.exec(block)!;
    const clients = head.includes("set affinity-");
    const sorted = clients ? [] : elements.split(",").map((element) => element.trim()).sort();
    return [head.trim(), ...sorted].join("\n");
  });
}

/** As long as a program waits before it gives up; a busy machine can take seconds. */
const CLIENT_PATIENCE_MS = 20_000;
/** What takes longer has lost a packet: TCP sends its first one again after a second (RFC 6298 §2.1). */
const RETRANSMISSION_MS = 1000;

/** A client that asks without a pause; every question is a new connection. */
export class SteadyClient {
  readonly #asking: Promise<void>;
  #stopped = false;
  #rounds = 0;
  asked = 0;
  /** What was no answer, the first ones. */
  readonly failures: string[] = [];
  failed = 0;
  /** Those that took so long that a packet must have been sent twice, or someone have been slow. */
  slow = 0;
  slowestMs = 0;
  readonly pods = new Set<string>();

  /** @param targets what to ask; again and again, one after the other. */
  constructor(lab: NodeLab, targets: readonly Target[]) {
    this.#asking = this.#ask(lab, targets);
    this.#asking.catch(() => {});
  }

  /** Resolves when what it is asking has its outcome, and what it asks of all targets next, too. */
  async round(): Promise<void> {
    const enough = this.#rounds + 2;
    await eventually(() => this.#rounds >= enough, "the client goes on asking");
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#asking;
  }

  async #ask(lab: NodeLab, targets: readonly Target[]): Promise<void> {
    while (!this.#stopped) {
      for (const target of targets) {
        const since = new Date().toISOString();
        for (const outcome of await lab.ask(target, 8, CLIENT_PATIENCE_MS)) {
          this.asked++;
          this.slowestMs = Math.max(this.slowestMs, outcome.ms);
          if (outcome.ms >= RETRANSMISSION_MS) this.slow++;
          if (outcome.kind === "answer") {
            this.pods.add(outcome.pod);
            continue;
          }
          this.failed++;
          if (this.failures.length < 20) {
            this.failures.push(`${since} ${target.address}: ${JSON.stringify(outcome)}`);
          }
        }
      }
      this.#rounds++;
    }
  }
}

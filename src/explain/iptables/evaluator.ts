/**
 * The way of a packet through netfilter's hooks, as the kernel orders them: from outside to the
 * node, through it, or from it. (include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities.)
 *
 * @module
 */

import type { Flow, SenderQuestions, UnknownRule } from "../answer.ts";
import { multiply, ONE } from "../fraction.ts";
import { familyOf } from "../../net/address.ts";
import { type BalancedWay, type Balancer, type BalancerStep, WITHHELD } from "./balancer.ts";
import { type Hook, ip, isLoopback, LOOPBACK, type Packet } from "./packet.ts";
import { isAddress, Sender } from "./sender.ts";
import { isLocal, linkTo, type World } from "./world.ts";
import type { RuleSet } from "./ruleset.ts";
import { Budget, type End, type Path, TableWalk, TakenSteps } from "./walk.ts";

/** Every end that a packet may find, and the rules that could not be decided. */
export interface Evaluation {
  readonly accepted: readonly Path[];
  readonly ended: readonly End[];
  readonly unknown: readonly UnknownRule[];
  /** What it all rests on of who sends. */
  readonly sender: SenderQuestions;
}

/** Walks one flow through the rules of its family, and the balancer. Throws TooManyWays. */
export function evaluate(
  flow: Flow,
  rules: RuleSet,
  world: World,
  balancer: Balancer | null = null,
): Evaluation {
  return new Journey(rules, world, balancer, flow.state ?? "NEW").run(flow);
}

/** Stands for the balancer among the tables: priorities 98, 99 and −99, −98 of IPVS. */
const BALANCER = "ipvs";

/** What a hook asks, in order. */
const TABLES: Readonly<Record<Hook, readonly string[]>> = {
  PREROUTING: ["raw", "mangle", "nat"],
  INPUT: ["mangle", "filter", "security", BALANCER, "nat"],
  FORWARD: ["mangle", "filter", "security"],
  OUTPUT: ["raw", "mangle", "nat", BALANCER, "filter", "security"],
  POSTROUTING: ["mangle", "nat"],
};

class Journey {
  readonly #ended: End[] = [];
  readonly #budget = new Budget();
  readonly #taken = new TakenSteps();
  readonly #unknown = new Map<string, UnknownRule>();
  /** Those that the balancer took out of the hook that is being asked, to send them on. */
  #dispatched: Path[] = [];

  constructor(
    private readonly rules: RuleSet,
    private readonly world: World,
    private readonly balancer: Balancer | null,
    private readonly state: NonNullable<Flow["state"]>,
  ) {}

  run(flow: Flow): Evaluation {
    const sender = new Sender(flow.source, flow.sourcePort ?? null);
    const start = this.#start(flow, sender);
    const path: Path = { packet: start, probability: ONE, trail: null };
    const accepted = start.fromNode ? this.#send(path) : this.#receive(path);
    return {
      accepted,
      ended: this.#ended,
      unknown: [...this.#unknown.values()],
      sender: sender.questions(),
    };
  }

  #start(flow: Flow, sender: Sender): Packet {
    const source = sender.address;
    const dest = ip(flow.dest);
    const fromNode = isLocal(source, this.world);
    return {
      family: familyOf(flow.dest),
      protocol: flow.protocol,
      source,
      sourcePort: sender.port,
      dest,
      destPort: flow.port,
      hook: fromNode ? "OUTPUT" : "PREROUTING",
      in: fromNode ? "none" : linkTo(source, this.world),
      out: fromNode ? linkTo(dest, this.world) : "none",
      fromNode,
      mark: 0,
      connectionMark: 0,
      state: null,
      original: { source, dest, destPort: flow.port },
      redirected: false,
      masqueraded: false,
      intercepted: false,
      virtual: null,
      remembered: [],
    };
  }

  /** From outside: routed after DNAT, so that the rules decide whether the node itself is meant. */
  #receive(first: Path): readonly Path[] {
    const routed = this.#hook([first]);
    const done: Path[] = [];
    for (const path of routed) {
      const { packet } = path;
      if (packet.intercepted || isLocal(packet.dest, this.world)) {
        done.push(...this.#hook([routeTo(path, "INPUT", "to the node itself")]));
        done.push(...this.#dispatch());
        continue;
      }
      const out = linkTo(packet.dest, this.world);
      const on = routeTo(path, "FORWARD", "on through the node", { out });
      const forwarded = this.#hook([on]);
      done.push(...this.#hook(forwarded.map((path) => move(path, { hook: "POSTROUTING" }))));
    }
    return done;
  }

  /** From the node: what it sends to itself leaves through lo and comes in again, still NEW. */
  #send(first: Path): readonly Path[] {
    const done: Path[] = [];
    for (const path of this.#hook([routeTo(first, "OUTPUT", this.#origin(first.packet))])) {
      const out = linkTo(path.packet.dest, this.world);
      const left = this.#hook([move(path, { hook: "POSTROUTING", out })]);
      if (out !== LOOPBACK) {
        done.push(...left);
        continue;
      }
      const back = left.map((path) =>
        routeTo(path, "PREROUTING", "back in through lo", { in: LOOPBACK, out: "none" })
      );
      const arrived = this.#hook(back);
      done.push(...this.#hook(arrived.map((path) => move(path, { hook: "INPUT" }))));
    }
    return [...done, ...this.#dispatch()];
  }

  /** The kernel gives a packet to a virtual server's address that same address as its source. */
  #origin({ source, dest }: Packet): string {
    const chosen = this.world.virtualAddresses.has(dest.text) && !source.ask(isAddress, dest.text);
    const origin = "from the node itself";
    return chosen
      ? `${origin}; a program that binds no address would have ${dest.text} for its source`
      : origin;
  }

  /** What the balancer sends on begins anew in OUTPUT, wherever it came from (ip_vs_xmit.c). */
  #dispatch(): readonly Path[] {
    const leaving = this.#dispatched.map((path) => {
      const out = linkTo(path.packet.dest, this.world);
      return routeTo(path, "OUTPUT", "sent on by IPVS", { in: "none", out });
    });
    this.#dispatched = [];
    const left = this.#hook(leaving);
    return this.#hook(left.map((path) => move(path, { hook: "POSTROUTING" })));
  }

  /** The balancer's turn: those that stay in the hook, as it sends them nowhere or to this node. */
  #balance(path: Path): readonly Path[] {
    const { packet } = path;
    if (this.balancer === null || packet.virtual !== null) return [path];
    const { ways, refused, unknown } = this.balancer.schedule(packet);
    for (const one of unknown) this.#report(one);
    if (refused !== null) {
      this.#ended.push({ path: trace(path, refused), verdict: "REJECT" });
      return [];
    }
    if (ways.length === 0) return [path];
    const staying: Path[] = [];
    for (const way of ways) {
      const sent = send(path, way);
      if (isLocal(sent.packet.dest, this.world)) staying.push(sent);
      else if (packet.source.ask(isLoopback, null)) this.#ended.push(withheld(sent));
      else this.#dispatched.push(sent);
    }
    return staying;
  }

  /** The tables of the hook that the paths are at. All are at the same. */
  #hook(paths: readonly Path[]): readonly Path[] {
    let here = paths;
    for (const name of here.length === 0 ? [] : TABLES[here[0].packet.hook]) {
      if (name === BALANCER) {
        here = here.flatMap((path) => this.#balance(path));
        continue;
      }
      const table = this.rules.table(name);
      const asked = here.filter(({ packet }) => name !== "nat" || this.#translates(packet));
      const others = here.filter(({ packet }) => name === "nat" && !this.#translates(packet));
      if (table !== undefined) {
        const report = (unknown: UnknownRule) => this.#report(unknown);
        const walk = new TableWalk(table, this.world, report, this.#budget, this.#taken);
        const { accepted, ended } = walk.run(asked);
        this.#ended.push(...ended);
        here = [...accepted, ...others];
      }
      if (name === "raw") here = here.map((path) => this.#track(path));
    }
    return here;
  }

  /** NAT is for the first packet of a connection, once for each side. */
  #translates({ state, fromNode, hook, virtual }: Packet): boolean {
    if (virtual !== null && hook === "OUTPUT") return false;
    return state === "NEW" && !(fromNode && (hook === "PREROUTING" || hook === "INPUT"));
  }

  /** Connection tracking, which comes after table raw. */
  #track(path: Path): Path {
    return path.packet.state === null ? move(path, { state: this.state }) : path;
  }

  #report(unknown: UnknownRule): void {
    const key = `${unknown.table} ${unknown.line} ${unknown.reason}`;
    if (!this.#unknown.has(key)) this.#unknown.set(key, unknown);
  }
}

function move(path: Path, change: Partial<Packet>): Path {
  return { ...path, packet: { ...path.packet, ...change } };
}

/** Notes what the balancer did. */
function trace(path: Path, step: BalancerStep): Path {
  const { hook } = path.packet;
  return { ...path, trail: { step: { hook, ...step }, comment: null, before: path.trail } };
}

/** The packet on its way to a server. */
function send(path: Path, { address, port, method, share, step }: BalancedWay): Path {
  const { packet, probability } = path;
  const virtual = { address: packet.dest, port: packet.destPort, method };
  const change = { dest: ip(address), destPort: port, redirected: true, virtual };
  return trace(
    { ...move(path, change), probability: multiply(probability, share) },
    step,
  );
}

/** The kernel lets nothing with a loopback address out of the node. */
function withheld(path: Path): End {
  const { packet: { source }, trail } = path;
  const step = { ...trail!.step, action: `dropped: ${source.text} ${WITHHELD}` };
  return { path: { ...path, trail: { step, comment: null, before: trail } }, verdict: "DROP" };
}

/** Moves to a hook and notes the routing decision as a step. */
function routeTo(path: Path, hook: Hook, action: string, change: Partial<Packet> = {}): Path {
  const { dest } = path.packet;
  const step = {
    hook: null,
    table: null,
    chain: null,
    rule: null,
    line: null,
    text: `routing of ${dest.text}`,
    action,
  };
  return {
    ...move(path, { hook, ...change }),
    trail: { step, comment: null, before: path.trail },
  };
}

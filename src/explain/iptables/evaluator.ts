/**
 * The way of a packet through netfilter's hooks, as the kernel orders them: from outside to the
 * node, through it, or from it. (include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities.)
 *
 * @module
 */

import type { Flow, UnknownRule } from "../answer.ts";
import { multiply, ONE } from "../fraction.ts";
import {
  type BalancedWay,
  type Balancer,
  type BalancerStep,
  WITHHELD,
} from "../netfilter/balancer.ts";
import { Course, type Ends } from "../netfilter/course.ts";
import { firstPacket, moveTo, routingStep, track } from "../netfilter/journey.ts";
import { type Hook, ip, isLoopback, LOOPBACK, type Packet } from "../netfilter/packet.ts";
import { isAddress, Sender } from "../netfilter/sender.ts";
import type { AskedChains } from "./resting.ts";
import { isLocal, linkTo, type World } from "../netfilter/world.ts";
import type { RuleSet, Table } from "./ruleset.ts";
import { OtherSteps } from "../netfilter/steps.ts";
import { Budget, type End, type Evaluation, type Path, withStep } from "../netfilter/paths.ts";
import { TableWalk } from "./walk.ts";

/** What becomes of a packet, and what of the rules that rests on. */
export interface EvaluatedRules extends Evaluation {
  readonly asked: AskedChains;
}

/** Walks one flow through the rules of its family, and the balancer. Throws TooManyWays. */
export function evaluate(
  flow: Flow,
  rules: RuleSet,
  world: World,
  balancer: Balancer | null = null,
): EvaluatedRules {
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

/** Ways on that are kept to compare others with. */
const MOST_COURSES = 8;

class Journey {
  readonly #ended: End[] = [];
  #courses: readonly Course[] = [];
  readonly #budget = new Budget();
  readonly #steps = new OtherSteps();
  readonly #unknown = new Map<string, UnknownRule>();
  readonly #asked = new Map<string, Set<string>>();
  /** Those that the balancer took out of the hook that is being asked, to send them on. */
  #dispatched: Path[] = [];

  constructor(
    private readonly rules: RuleSet,
    private readonly world: World,
    private readonly balancer: Balancer | null,
    private readonly state: NonNullable<Flow["state"]>,
  ) {}

  run(flow: Flow): EvaluatedRules {
    const sender = new Sender(flow.source, flow.sourcePort ?? null);
    const start = firstPacket(flow, sender, this.world);
    const path: Path = { packet: start, probability: ONE, trail: null };
    const accepted = start.fromNode ? this.#send(path) : this.#receive(path);
    return {
      accepted,
      ended: this.#ended,
      unknown: [...this.#unknown.values()],
      sender: sender.questions(),
      asked: this.#asked,
    };
  }

  /** From outside: routed after DNAT, so that the rules decide whether the node itself is meant. */
  #receive(first: Path): readonly Path[] {
    const routed = this.#hook([first]);
    const done: Path[] = [];
    for (const path of routed) {
      const { packet } = path;
      if (packet.intercepted || isLocal(packet.dest, this.world)) {
        const input = { ...packet, hook: "INPUT" } as const;
        done.push(...this.#hook([this.#route(path, "to the node itself", input)]));
        done.push(...this.#dispatch());
        continue;
      }
      const out = linkTo(packet.dest, this.world);
      const forward = { ...packet, hook: "FORWARD", out } as const;
      done.push(...this.#forward(this.#route(path, "on through the node", forward)));
    }
    return done;
  }

  /** Through the node and out of it, as another one before where rules don't tell them apart. */
  #forward(path: Path): readonly Path[] {
    const { packet } = path;
    let course = this.#courses.find((known) => known.holdsFor(packet));
    if (course === undefined) {
      course = new Course(packet, (first) => this.#pass(first));
      this.#courses = [course, ...this.#courses.slice(0, MOST_COURSES - 1)];
    }
    const { left, ended } = course.endsOf(path);
    this.#ended.push(...ended);
    return left;
  }

  #pass(first: Path): Ends {
    const before = this.#ended.length;
    const forwarded = this.#hook([first]);
    const left = this.#hook(forwarded.map((path) => moveTo(path, "POSTROUTING")));
    return { left, ended: this.#ended.splice(before) };
  }

  /** From the node: what it sends to itself leaves through lo and comes in again, still NEW. */
  #send(first: Path): readonly Path[] {
    const done: Path[] = [];
    for (const path of this.#hook([this.#route(first, this.#origin(first.packet))])) {
      const out = linkTo(path.packet.dest, this.world);
      const leaving = { ...path.packet, hook: "POSTROUTING", out } as const;
      const left = this.#hook([{ ...path, packet: leaving }]);
      if (out !== LOOPBACK) {
        done.push(...left);
        continue;
      }
      const arrived = this.#hook(left.map((path) => {
        const again = { ...path.packet, hook: "PREROUTING", in: LOOPBACK, out: "none" } as const;
        return this.#route(path, "back in through lo", again);
      }));
      done.push(...this.#hook(arrived.map((path) => moveTo(path, "INPUT"))));
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
      const packet = { ...path.packet, hook: "OUTPUT", in: "none", out } as const;
      return this.#route(path, "sent on by IPVS", packet);
    });
    this.#dispatched = [];
    const left = this.#hook(leaving);
    return this.#hook(left.map((path) => moveTo(path, "POSTROUTING")));
  }

  /** The balancer's turn: those that stay in the hook, as it sends them nowhere or to this node. */
  #balance(path: Path): readonly Path[] {
    const { packet } = path;
    if (this.balancer === null || packet.virtual !== null) return [path];
    const { ways, refused, unknown } = this.balancer.schedule(packet);
    for (const one of unknown) this.#report(one);
    if (refused !== null) {
      this.#ended.push({ path: this.#trace(path, refused), verdict: "REJECT" });
      return [];
    }
    if (ways.length === 0) return [path];
    const staying: Path[] = [];
    for (const way of ways) {
      const sent = this.#trace(send(path, way), way.step);
      if (isLocal(sent.packet.dest, this.world)) staying.push(sent);
      else if (packet.source.ask(isLoopback, null)) this.#ended.push(this.#withheld(sent));
      else this.#dispatched.push(sent);
    }
    return staying;
  }

  /** The tables of the hook that the paths are at. All are at the same. */
  #hook(paths: readonly Path[]): readonly Path[] {
    let here = paths;
    for (const name of here.length === 0 ? [] : TABLES[here[0].packet.hook]) {
      if (name === BALANCER) {
        if (this.balancer !== null) here = here.flatMap((path) => this.#balance(path));
        continue;
      }
      const table = this.rules.table(name);
      if (table !== undefined) {
        here = name === "nat" ? this.#nat(table, here) : this.#ask(table, here);
      }
      if (name === "raw") here = here.map((path) => track(path, this.state));
    }
    return here;
  }

  #nat(table: Table, here: readonly Path[]): readonly Path[] {
    const asked = here.filter(({ packet }) => this.#translates(packet));
    if (asked.length === here.length) return this.#ask(table, here);
    const others = here.filter(({ packet }) => !this.#translates(packet));
    return [...this.#ask(table, asked), ...others];
  }

  #ask(table: Table, here: readonly Path[]): readonly Path[] {
    if (here.length === 0) return here;
    const { name } = table;
    let asked = this.#asked.get(name);
    if (asked === undefined) this.#asked.set(name, asked = new Set());
    const walk = new TableWalk(table, this.world, this.#report, this.#budget, this.#steps, asked);
    const { accepted, ended } = walk.run(here);
    this.#ended.push(...ended);
    return accepted;
  }

  /** NAT is for the first packet of a connection, once for each side. */
  #translates({ state, fromNode, hook, virtual }: Packet): boolean {
    if (virtual !== null && hook === "OUTPUT") return false;
    return state === "NEW" && !(fromNode && (hook === "PREROUTING" || hook === "INPUT"));
  }

  readonly #report = (unknown: UnknownRule): void => {
    const key = `${unknown.table} ${unknown.line} ${unknown.reason}`;
    if (!this.#unknown.has(key)) this.#unknown.set(key, unknown);
  };

  /** Notes the routing decision behind which a packet is as given. */
  #route(path: Path, action: string, packet: Packet = path.packet): Path {
    const step = this.#steps.once(routingStep(packet, action));
    return withStep({ ...path, packet }, { step, comment: null });
  }

  /** Notes what the balancer did. */
  #trace(path: Path, { table, chain, rule, line, text, action }: BalancerStep): Path {
    const { hook } = path.packet;
    const step = this.#steps.once({ hook, table, chain, rule, line, text, action });
    return withStep(path, { step, comment: null });
  }

  /** The kernel lets nothing with a loopback address out of the node. */
  #withheld(path: Path): End {
    const { packet: { source }, trail } = path;
    const action = `dropped: ${source.text} ${WITHHELD}`;
    const step = this.#steps.once({ ...trail!.step, action });
    return { path: withStep(path, { step, comment: null }), verdict: "DROP" };
  }
}

/** The packet on its way to a server. */
function send({ packet, probability, trail }: Path, way: BalancedWay): Path {
  const { address, port, method, share } = way;
  const virtual = { address: packet.dest, port: packet.destPort, method };
  return {
    packet: { ...packet, dest: ip(address), destPort: port, redirected: true, virtual },
    probability: multiply(probability, share),
    trail,
  };
}

/**
 * The way of a packet through netfilter's hooks, as the kernel orders them: from outside to the
 * node, through it, or from it. (include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities.)
 *
 * @module
 */

import type { Flow, UnknownRule } from "../answer.ts";
import { ONE } from "../fraction.ts";
import { familyOf } from "../../net/address.ts";
import { type Hook, ip, isLocal, linkTo, LOOPBACK, type Packet, type World } from "./packet.ts";
import type { RuleSet } from "./ruleset.ts";
import { Budget, type End, type Path, TableWalk } from "./walk.ts";

/** Every end that a packet may find, and the rules that could not be decided. */
export interface Evaluation {
  readonly accepted: readonly Path[];
  readonly ended: readonly End[];
  readonly unknown: readonly UnknownRule[];
}

/** Walks one flow through the rules of its family. Throws TooManyWays. */
export function evaluate(flow: Flow, rules: RuleSet, world: World): Evaluation {
  return new Journey(rules, world, flow.state ?? "NEW").run(flow);
}

/** The tables that a hook asks, in order. */
const TABLES: Readonly<Record<Hook, readonly string[]>> = {
  PREROUTING: ["raw", "mangle", "nat"],
  INPUT: ["mangle", "filter", "security", "nat"],
  FORWARD: ["mangle", "filter", "security"],
  OUTPUT: ["raw", "mangle", "nat", "filter", "security"],
  POSTROUTING: ["mangle", "nat"],
};

class Journey {
  readonly #ended: End[] = [];
  readonly #budget = new Budget();
  readonly #unknown = new Map<string, UnknownRule>();

  constructor(
    private readonly rules: RuleSet,
    private readonly world: World,
    private readonly state: NonNullable<Flow["state"]>,
  ) {}

  run(flow: Flow): Evaluation {
    const start = this.#start(flow);
    const path: Path = { packet: start, probability: ONE, trail: null };
    const accepted = start.fromNode ? this.#send(path) : this.#receive(path);
    return { accepted, ended: this.#ended, unknown: [...this.#unknown.values()] };
  }

  #start(flow: Flow): Packet {
    const source = ip(flow.source);
    const dest = ip(flow.dest);
    const fromNode = isLocal(source, this.world);
    return {
      family: familyOf(flow.dest),
      protocol: flow.protocol,
      source,
      sourcePort: flow.sourcePort ?? null,
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
    for (const path of this.#hook([routeTo(first, "OUTPUT", "from the node itself")])) {
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
    return done;
  }

  /** The tables of the hook that the paths are at. All are at the same. */
  #hook(paths: readonly Path[]): readonly Path[] {
    let here = paths;
    for (const name of here.length === 0 ? [] : TABLES[here[0].packet.hook]) {
      const table = this.rules.table(name);
      const asked = here.filter(({ packet }) => name !== "nat" || this.#translates(packet));
      const others = here.filter(({ packet }) => name === "nat" && !this.#translates(packet));
      if (table !== undefined) {
        const report = (unknown: UnknownRule) => this.#report(unknown);
        const walk = new TableWalk(table, this.world, report, this.#budget);
        const { accepted, ended } = walk.run(asked);
        this.#ended.push(...ended);
        here = [...accepted, ...others];
      }
      if (name === "raw") here = here.map((path) => this.#track(path));
    }
    return here;
  }

  /** NAT is for the first packet of a connection, once for each side. */
  #translates({ state, fromNode, hook }: Packet): boolean {
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

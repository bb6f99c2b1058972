/**
 * The way of a packet through netfilter's hooks with all tables that nft has put there: from outside
 * to the node, through it, or from it.
 *
 * @module
 */

import type { Flow, Step, UnknownRule } from "../answer.ts";
import { ONE } from "../fraction.ts";
import { firstPacket, moveTo, routingStep, track } from "../netfilter/journey.ts";
import { LOOPBACK, type Packet } from "../netfilter/packet.ts";
import { Sender } from "../netfilter/sender.ts";
import { Budget, type End, type Evaluation, type Path, withStep } from "../netfilter/paths.ts";
import { isLocal, linkTo, type World } from "../netfilter/world.ts";
import { type HookedChain, type Hooks, isForLink, type LinkHook } from "./hooks.ts";
import type { Journal } from "./notes.ts";
import type { PlacedRule } from "./tables.ts";
import { walkBase } from "./walk.ts";

/** Walks one flow through the base chains of its family. Throws TooManyWays. */
export function evaluate(flow: Flow, hooks: Hooks, world: World): Evaluation {
  return new Journey(hooks, world, flow.state ?? "NEW").run(flow);
}

class Journey implements Journal {
  readonly budget = new Budget();
  readonly #ended: End[] = [];
  readonly #unknown = new Map<string, UnknownRule>();
  /** By rule, then by what tells those of one rule apart. */
  readonly #steps = new Map<PlacedRule | null, Map<string, Step>>();

  constructor(
    private readonly hooks: Hooks,
    private readonly world: World,
    private readonly state: NonNullable<Flow["state"]>,
  ) {}

  run(flow: Flow): Evaluation {
    const sender = new Sender(flow.source, flow.sourcePort ?? null);
    const packet = firstPacket(flow, sender, this.world);
    const path: Path = { packet, probability: ONE, trail: null };
    const accepted = packet.fromNode ? this.#send(path) : this.#receive(path);
    return {
      accepted,
      ended: this.#ended,
      unknown: [...this.#unknown.values()],
      sender: sender.questions(),
    };
  }

  step(rule: PlacedRule | null, step: Step): Step {
    let steps = this.#steps.get(rule);
    if (steps === undefined) this.#steps.set(rule, steps = new Map());
    const { hook, table, chain, text, action } = step;
    const key = rule === null ? `${hook} ${table} ${chain} ${text} ${action}` : `${hook} ${action}`;
    const known = steps.get(key);
    if (known === undefined) steps.set(key, step);
    return known ?? step;
  }

  report(unknown: UnknownRule): void {
    const { table, chain, rule, reason } = unknown;
    const key = `${table} ${chain} ${rule} ${reason}`;
    if (!this.#unknown.has(key)) this.#unknown.set(key, unknown);
  }

  /** From outside: routed after DNAT, so that the rules decide whether the node itself is meant. */
  #receive(first: Path): readonly Path[] {
    const done: Path[] = [];
    for (const path of this.#hook(this.#atLinks([first], "ingress"))) {
      const { packet } = path;
      if (isLocal(packet.dest, this.world)) {
        const input = { ...packet, hook: "INPUT" } as const;
        done.push(...this.#hook([this.#route(path, "to the node itself", input)]));
        continue;
      }
      const forward = { ...packet, hook: "FORWARD", out: linkTo(packet.dest, this.world) } as const;
      const forwarded = this.#hook([this.#route(path, "on through the node", forward)]);
      const left = this.#hook(forwarded.map((path) => moveTo(path, "POSTROUTING")));
      done.push(...this.#atLinks(left, "egress"));
    }
    return done;
  }

  /** From the node: what it sends to itself leaves through lo and comes in again, still NEW. */
  #send(first: Path): readonly Path[] {
    const done: Path[] = [];
    for (const path of this.#hook([this.#route(first, "from the node itself")])) {
      const out = linkTo(path.packet.dest, this.world);
      const leaving = { ...path.packet, hook: "POSTROUTING", out } as const;
      const left = this.#atLinks(this.#hook([{ ...path, packet: leaving }]), "egress");
      if (out !== LOOPBACK) {
        done.push(...left);
        continue;
      }
      const back = left.map((path) => {
        const again = { ...path.packet, hook: "PREROUTING", in: LOOPBACK, out: "none" } as const;
        return this.#route(path, "back in through lo", again);
      });
      const arrived = this.#hook(this.#atLinks(back, "ingress"));
      done.push(...this.#hook(arrived.map((path) => moveTo(path, "INPUT"))));
    }
    return done;
  }

  /** The base chains of the hook that the paths are at. All are at the same. */
  #hook(paths: readonly Path[]): readonly Path[] {
    if (paths.length === 0) return paths;
    let here = paths;
    const translated: Path[] = [];
    let tracked = false;
    for (const hooked of this.hooks[paths[0].packet.hook]) {
      if (!tracked && !hooked.early) {
        here = here.map((path) => track(path, this.state));
        tracked = true;
      }
      // NAT comes in one piece: what is behind it gets the translated ones too.
      if (!hooked.nat && translated.length > 0) here = [...here, ...translated.splice(0)];
      here = hooked.nat ? this.#translate(hooked, here, translated) : this.#ask(hooked, here);
    }
    const all = [...here, ...translated];
    return tracked ? all : all.map((path) => track(path, this.state));
  }

  /** The base chains of the links that the paths come in or go out through. */
  #atLinks(paths: readonly Path[], at: LinkHook): readonly Path[] {
    let here = paths;
    for (const hooked of this.hooks.links[at]) {
      const through: Path[] = [];
      const others: Path[] = [];
      for (const path of here) {
        const link = at === "ingress" ? path.packet.in : path.packet.out;
        if (link === "unknown") this.#askInVain(hooked, path, at);
        const isThere = typeof link === "object" && isForLink(hooked, link.name);
        (isThere ? through : others).push(path);
      }
      if (through.length === 0) continue;
      const { chain, table } = hooked;
      const walked = walkBase(chain, through, table, this.world, this, at);
      this.#ended.push(...walked.ended);
      here = [...walked.accepted, ...others];
    }
    return here;
  }

  /** A chain of links that may be the packet's matters if it does anything to the packet. */
  #askInVain({ chain, table }: HookedChain, path: Path, at: LinkHook): void {
    let isDoubtful = false;
    const trial: Journal = {
      budget: this.budget,
      step: (_, step) => step,
      report: () => void (isDoubtful = true),
    };
    const { accepted, ended } = walkBase(chain, [path], table, this.world, trial, at);
    const isSame = ended.length === 0 && accepted.every(({ packet }) => packet === path.packet);
    if (isSame && !isDoubtful) return;
    const links = chain.base!.devices.map((device) => `"${device}"`).join(", ");
    const way = at === "ingress" ? "comes in" : "goes out";
    this.report({
      table: table.title,
      chain: chain.name,
      rule: null,
      line: null,
      text: `hook ${at} device ${links}`,
      reason: `whether the packet ${way} through such a link is not known: not followed`,
    });
  }

  #ask(hooked: HookedChain, paths: readonly Path[], translated?: Path[]): readonly Path[] {
    if (paths.length === 0) return paths;
    const { chain, table } = hooked;
    const walked = walkBase(chain, paths, table, this.world, this);
    this.#ended.push(...walked.ended);
    if (translated === undefined) return [...walked.accepted, ...walked.translated];
    translated.push(...walked.translated);
    return walked.accepted;
  }

  /** Sends to a chain of type nat those that no other one has translated at this hook. */
  #translate(hooked: HookedChain, here: readonly Path[], translated: Path[]): readonly Path[] {
    const asked = here.filter(({ packet }) => translates(packet));
    const others = here.filter(({ packet }) => !translates(packet));
    return [...this.#ask(hooked, asked, translated), ...others];
  }

  /** Notes the routing decision behind which a packet is as given. */
  #route(path: Path, action: string, packet: Packet = path.packet): Path {
    const step = this.step(null, routingStep(packet, action));
    return withStep({ ...path, packet }, { step, comment: null });
  }
}

/** NAT is for the first packet of a connection, once for each side. */
function translates({ state, fromNode, hook }: Packet): boolean {
  return state === "NEW" && !(fromNode && (hook === "PREROUTING" || hook === "INPUT"));
}

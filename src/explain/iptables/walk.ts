/**
 * One table at one hook: rule after rule, chain after chain, as the kernel's ipt_do_table does it,
 * but with every way that chance may take.
 *
 * @module
 */

import type { UnknownRule } from "../answer.ts";
import { complement, type Fraction, multiply, toNumber } from "../fraction.ts";
import { applyMarking, applyTranslation, type Change } from "./apply.ts";
import type { Packet } from "../netfilter/packet.ts";
import type { Chain } from "./chain.ts";
import type { Rule } from "./rule.ts";
import type { Table } from "./ruleset.ts";
import type { Address } from "../netfilter/sender.ts";
import { type Budget, type End, merge, type Path, withStep } from "../netfilter/paths.ts";
import type { OtherSteps } from "../netfilter/steps.ts";
import type { Target } from "./targets.ts";
import type { World } from "../netfilter/world.ts";

/** The target kinds that leave a packet as it is whether they are reached or not. */
const HARMLESS: readonly Target["kind"][] = ["none", "aside"];

/** The target kinds that are the same wherever they stand. */
const SIMPLE: readonly Target["kind"][] = ["accept", "drop", "return"];

/** A path at a rule that it may match. */
interface Split {
  /** Null: the rule does not match. */
  readonly matched: Path | null;
  /** What goes on to the next rule; null: the rule always matches. */
  readonly rest: Path | null;
  /** What the match rests on. */
  readonly notes: readonly string[];
}

const NO_NOTES: readonly string[] = [];

/** Walks one table's chains for one hook. */
export class TableWalk {
  readonly #accepted: Path[] = [];
  readonly #ended: End[] = [];
  /** The chains that the walk is in, the innermost last. */
  readonly #inside: string[] = [];

  constructor(
    private readonly table: Table,
    private readonly world: World,
    /** Takes up rules that mattered and could not be decided. */
    private readonly report: (unknown: UnknownRule) => void,
    private readonly budget: Budget,
    private readonly others: OtherSteps,
    /** Takes up the chains that the walk comes to. */
    private readonly asked: Set<string>,
  ) {}

  /** Sends paths, at least one, into the hook's built-in chain. */
  run(paths: readonly Path[]): { accepted: readonly Path[]; ended: readonly End[] } {
    const chain = this.table.chain(paths[0].packet.hook);
    const left = this.#walk(chain, paths);
    if (chain.policy === "DROP") { for (const path of left) this.#drop(chain, path); }
    const accepted = chain.policy === "DROP"
      ? this.#accepted
      : this.#accepted.length === 0
      ? left
      : [...this.#accepted, ...left];
    return { accepted: merge(accepted), ended: this.#ended };
  }

  #drop({ name }: Chain, path: Path): void {
    const step = this.others.once({
      hook: path.packet.hook,
      table: this.table.name,
      chain: name,
      rule: null,
      line: null,
      text: `-P ${name} DROP`,
      action: "dropped by the chain's policy",
    });
    this.#ended.push({ path: withStep(path, { step, comment: null }), verdict: "DROP" });
  }

  /** Those that come back from the chain: from its end, by RETURN, or from where it went by goto. */
  #walk(chain: Chain, paths: readonly Path[]): readonly Path[] {
    this.#inside.push(chain.name);
    this.asked.add(chain.name);
    const back: Path[] = [];
    let here = paths;
    for (const rule of rulesFor(chain, paths)) {
      if (here.length === 0) break;
      this.budget.ask(here.length, chain.name);
      here = this.#meet(chain, rule, here, back);
    }
    this.#inside.pop();
    return merge(back.length === 0 ? here : [...back, ...here]);
  }

  /** Those that go on to the next rule. */
  #meet(chain: Chain, rule: Rule, here: readonly Path[], back: Path[]): readonly Path[] {
    let next: Path[] | null = null;
    for (let i = 0; i < here.length; i++) {
      const split = this.#ask(chain, rule, here[i]);
      if (split === null) {
        next?.push(here[i]);
        continue;
      }
      next ??= here.slice(0, i);
      const { matched, rest, notes } = split;
      if (matched !== null) this.#act(chain, rule, matched, notes, next, back);
      if (rest !== null) next.push(rest);
    }
    if (next === null) return here;
    return next.length > here.length ? merge(next) : next;
  }

  /** Splits a path by whether the rule matches; null: it does not, and nothing is to be said. */
  #ask(chain: Chain, rule: Rule, path: Path): Split | null {
    let { packet } = path;
    let chance: Fraction | null = null;
    let doubt: string | null = null;
    let notes = NO_NOTES;
    for (const test of rule.tests) {
      const result = test(packet, this.world);
      if (result.kind === "unknown") {
        doubt ??= result.reason;
        continue;
      }
      if (result.note !== undefined) notes = [...notes, result.note];
      if (result.kind === "no") {
        if (result.note === undefined) {
          return packet === path.packet ? null : goesOn(path, packet);
        }
        const left = this.#step(chain, rule, path, `no match: ${result.note}`);
        return goesOn(left, packet);
      }
      if (result.kind === "chance") {
        chance = chance === null ? result.probability : multiply(chance, result.probability);
      } else if (result.remember !== undefined) {
        packet = { ...packet, remembered: [...packet.remembered, result.remember] };
      }
    }
    if (doubt !== null) {
      if (HARMLESS.includes(rule.target.kind)) return null;
      if (this.#doneAnyway(chain, rule, packet)) return null;
      const left = this.#doubt(chain, rule, path, doubt, "taken as no match");
      return goesOn(left, path.packet);
    }
    const asked = withPacket(path, packet);
    if (chance === null || isCertain(chance)) return { matched: asked, rest: null, notes };
    if (chance.numerator === 0n) return { matched: null, rest: asked, notes };
    return {
      matched: { ...asked, probability: multiply(path.probability, chance) },
      rest: { ...asked, probability: multiply(path.probability, complement(chance)) },
      notes: [`by chance, ${shown(chance)}`, ...notes],
    };
  }

  /** Whether the next rule does the same to the packet for certain, whatever this one does. */
  #doneAnyway(chain: Chain, rule: Rule, packet: Packet): boolean {
    const { target } = rule;
    const next = chain.next(rule);
    return next !== undefined && target.kind === next.target.kind &&
      SIMPLE.includes(target.kind) &&
      next.tests.every((test) => {
        const result = test(packet, this.world);
        return result.kind === "yes" && result.remember === undefined;
      });
  }

  /** Does what the rule's target says; paths go on in `next`, or `back` to the calling chain. */
  #act(
    chain: Chain,
    rule: Rule,
    path: Path,
    notes: readonly string[],
    next: Path[],
    back: Path[],
  ): void {
    const { target } = rule;
    const step = (action: string) => this.#step(chain, rule, path, withNotes(action, notes));
    switch (target.kind) {
      case "none":
        next.push(step("nothing"));
        break;
      case "aside":
        next.push(step("goes on"));
        break;
      case "accept":
        this.#accepted.push(step(`accepted in table ${this.table.name}`));
        break;
      case "drop":
        this.#ended.push({ path: step("dropped"), verdict: "DROP" });
        break;
      case "reject":
        this.#ended.push({ path: step(`rejected with ${target.with}`), verdict: "REJECT" });
        break;
      case "return":
        back.push(step("returns"));
        break;
      case "jump":
      case "goto": {
        const { kind, chain: name } = target;
        if (this.#inside.includes(name)) {
          next.push(this.#doubt(chain, rule, path, `chain ${name} calls itself`, "not followed"));
          break;
        }
        const inside = step(kind === "jump" ? `jumps to ${name}` : `goes to ${name}`);
        const returned = this.#walk(this.table.chain(name), [inside]);
        (kind === "jump" ? next : back).push(...returned);
        break;
      }
      case "mark":
      case "connmark-set":
      case "connmark-save":
      case "connmark-restore":
      case "notrack": {
        const change = applyMarking(path.packet, target);
        next.push(changed(step(change.action), change));
        break;
      }
      case "dnat":
      case "snat":
      case "masquerade":
      case "redirect":
      case "netmap":
      case "tproxy":
        for (const change of applyTranslation(path.packet, target, this.world)) {
          this.#accepted.push(changed(step(change.action), change));
        }
        break;
      case "unknown":
        next.push(this.#doubt(chain, rule, path, target.reason, "taken as doing nothing"));
        break;
    }
  }

  #step(chain: Chain, rule: Rule, path: Path, action: string, comment = rule.comment): Path {
    this.budget.step(chain.name);
    const step = rule.step(path.packet.hook, action, this.others);
    return withStep(path, { step, comment });
  }

  #doubt(chain: Chain, rule: Rule, path: Path, reason: string, assumption: string): Path {
    this.report({
      table: this.table.name,
      chain: chain.name,
      rule: rule.number,
      line: rule.line,
      text: rule.text,
      reason,
    });
    return this.#step(chain, rule, path, `${assumption}: ${reason}`, null);
  }
}

/** The rules that any of the paths may match: where they go to stays the same within a table. */
function rulesFor(chain: Chain, paths: readonly Path[]): readonly Rule[] {
  if (paths.length === 1) return paths[0].packet.dest.ask(rulesTo, chain);
  return chain.rulesForAny(new Set(paths.map(({ packet }) => packet.dest.text)));
}

/** {@link Chain.rulesFor} as a question. */
function rulesTo({ text }: Address, chain: Chain): readonly Rule[] {
  return chain.rulesFor(text);
}

function withNotes(action: string, notes: readonly string[]): string {
  return notes.length === 0 ? action : [action, ...notes].join("; ");
}

function withPacket(path: Path, packet: Packet): Path {
  return path.packet === packet ? path : { ...path, packet };
}

/** What goes on to the next rule, and nothing else. */
function goesOn(path: Path, packet: Packet): Split {
  return { matched: null, rest: withPacket(path, packet), notes: NO_NOTES };
}

function changed({ trail, probability }: Path, { packet, share }: Change): Path {
  return { packet, probability: multiply(probability, share), trail };
}

function isCertain({ numerator, denominator }: Fraction): boolean {
  return numerator >= denominator;
}

/** Chances of rules in words: the same few are told again and again. */
const SHOWN = new WeakMap<Fraction, string>();

function shown(probability: Fraction): string {
  let text = SHOWN.get(probability);
  if (text === undefined) {
    text = `probability ${Number(toNumber(probability).toFixed(6))}`;
    SHOWN.set(probability, text);
  }
  return text;
}

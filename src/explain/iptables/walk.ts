/**
 * One table at one hook: rule after rule, chain after chain, as the kernel's ipt_do_table does it,
 * but with every way that chance may take.
 *
 * @module
 */

import type { Step, UnknownRule } from "../answer.ts";
import {
  add,
  complement,
  exceeds,
  type Fraction,
  multiply,
  ONE,
  toNumber,
  ZERO,
} from "../fraction.ts";
import { applyMarking, applyTranslation, type Change } from "./apply.ts";
import type { Hook, Packet } from "./packet.ts";
import type { World } from "./world.ts";
import type { Chain, Rule, Table } from "./ruleset.ts";
import type { Target } from "./targets.ts";

/** The steps behind a packet, the latest first. */
export interface Trail {
  readonly step: Step;
  /** The comment of the rule that acted. */
  readonly comment: string | null;
  readonly before: Trail | null;
}

/** Steps of one rule that are looked through: most rules do one and the same to all paths. */
const MOST_TAKEN = 16;

/** Steps that other paths took before: most often the next path's are no others. */
export class TakenSteps {
  readonly #byRule = new Map<Rule, Step[]>();

  take(table: Table, chain: Chain, rule: Rule, hook: Hook, action: string): Step {
    let steps = this.#byRule.get(rule);
    if (steps === undefined) this.#byRule.set(rule, steps = []);
    const taken = steps.find((step) => step.action === action && step.hook === hook);
    if (taken !== undefined) return taken;
    const { number, line, text } = rule;
    const step = {
      hook,
      table: table.name,
      chain: chain.name,
      rule: number,
      line,
      text,
      action,
    };
    if (steps.length < MOST_TAKEN) steps.push(step);
    return step;
  }
}

/** One of the ways that the packet may have gone so far. */
export interface Path {
  readonly packet: Packet;
  readonly probability: Fraction;
  readonly trail: Trail | null;
}

/** A path that a table ended. */
export interface End {
  readonly path: Path;
  readonly verdict: "DROP" | "REJECT";
}

/** Rules whose chances and jumps multiply without end are given up. */
export class TooManyWays extends Error {
  override readonly name = "TooManyWays";
}

/** How many ways a packet may have come to one rule. */
const MOST_PATHS = 65536;

/** What one flow may cost. */
export class Budget {
  #rules = 20_000_000;
  #steps = 1_000_000;

  /** Takes so many paths to ask one rule about. Throws {@link TooManyWays}. */
  ask(paths: number, chain: string): void {
    this.#rules -= paths;
    if (this.#rules < 0 || paths > MOST_PATHS) this.#refuse(chain);
  }

  /** Takes one step. Throws {@link TooManyWays}. */
  step(chain: string): void {
    if (--this.#steps < 0) this.#refuse(chain);
  }

  #refuse(chain: string): never {
    throw new TooManyWays(`chain ${chain}: the flow can take too many ways to follow them all`);
  }
}

/** The target kinds that leave a packet as it is whether they are reached or not. */
const HARMLESS: readonly Target["kind"][] = ["none", "aside"];

/** The target kinds that are the same wherever they stand. */
const SIMPLE: readonly Target["kind"][] = ["accept", "drop", "return"];

/** A path at one rule. */
interface Split {
  /** Null: the rule never matches. */
  readonly matched: Path | null;
  /** What goes on to the next rule; null: the rule always matches. */
  readonly rest: Path | null;
  /** What the match rests on. */
  readonly notes: readonly string[];
}

/** Walks one table's chains for one hook. */
export class TableWalk {
  readonly #accepted: Path[] = [];
  readonly #ended: End[] = [];

  constructor(
    private readonly table: Table,
    private readonly world: World,
    /** Takes up rules that mattered and could not be decided. */
    private readonly report: (unknown: UnknownRule) => void,
    private readonly budget: Budget,
    private readonly taken: TakenSteps,
  ) {}

  /** Sends paths into the hook's built-in chain. */
  run(paths: readonly Path[]): { accepted: readonly Path[]; ended: readonly End[] } {
    if (paths.length > 0) {
      const chain = this.table.chain(paths[0].packet.hook);
      for (const path of this.#walk(chain, paths, [])) {
        if (chain.policy !== "DROP") {
          this.#accepted.push(path);
          continue;
        }
        const step = {
          hook: path.packet.hook,
          table: this.table.name,
          chain: chain.name,
          rule: null,
          line: null,
          text: `-P ${chain.name} DROP`,
          action: "dropped by the chain's policy",
        };
        const trail = { step, comment: null, before: path.trail };
        this.#ended.push({ path: { ...path, trail }, verdict: "DROP" });
      }
    }
    return { accepted: merge(this.#accepted), ended: this.#ended };
  }

  /** Those that come back from the chain: from its end, by RETURN, or from where it went by goto. */
  #walk(chain: Chain, paths: readonly Path[], callers: readonly string[]): readonly Path[] {
    const inside = [...callers, chain.name];
    const back: Path[] = [];
    let here = paths;
    for (const rule of rulesFor(chain, paths)) {
      if (here.length === 0) break;
      this.budget.ask(here.length, chain.name);
      const next: Path[] = [];
      for (const path of here) {
        const { matched, rest, notes } = this.#ask(chain, rule, path);
        if (matched !== null) this.#act(chain, rule, matched, notes, inside, next, back);
        if (rest !== null) next.push(rest);
      }
      here = next.length > here.length ? merge(next) : next;
    }
    return merge([...back, ...here]);
  }

  /** Splits a path by whether the rule matches. */
  #ask(chain: Chain, rule: Rule, path: Path): Split {
    let { packet } = path;
    let probability = ONE;
    let doubt: string | null = null;
    const notes: string[] = [];
    const refused = (rest: Path): Split => ({ matched: null, rest, notes });
    for (const test of rule.tests) {
      const result = test(packet, this.world);
      if (result.kind === "unknown") {
        doubt ??= result.reason;
        continue;
      }
      if (result.note !== undefined) notes.push(result.note);
      if (result.kind === "no") {
        if (result.note === undefined) return refused(withPacket(path, packet));
        const left = this.#step(chain, rule, path, `no match: ${result.note}`);
        return refused(withPacket(left, packet));
      }
      if (result.kind === "chance") probability = multiply(probability, result.probability);
      else if (result.remember !== undefined) {
        packet = { ...packet, remembered: [...packet.remembered, result.remember] };
      }
    }
    if (doubt !== null) {
      if (HARMLESS.includes(rule.target.kind)) return refused(path);
      if (this.#doneAnyway(chain, rule, packet)) return refused(path);
      return refused(this.#doubt(chain, rule, path, doubt, "taken as no match"));
    }
    const asked = withPacket(path, packet);
    if (!exceeds(probability, ZERO)) return refused(asked);
    if (!exceeds(ONE, probability)) return { matched: asked, rest: null, notes };
    return {
      matched: { ...asked, probability: multiply(path.probability, probability) },
      rest: { ...asked, probability: multiply(path.probability, complement(probability)) },
      notes: [`by chance, ${shown(probability)}`, ...notes],
    };
  }

  /** Whether the next rule does the same to the packet for certain, whatever this one does. */
  #doneAnyway(chain: Chain, { number, target }: Rule, packet: Packet): boolean {
    const next = chain.rules.at(number);
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
    inside: readonly string[],
    next: Path[],
    back: Path[],
  ): void {
    const { target } = rule;
    const step = (action: string) => this.#step(chain, rule, path, [action, ...notes].join("; "));
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
        if (inside.includes(name)) {
          next.push(this.#doubt(chain, rule, path, `chain ${name} calls itself`, "not followed"));
          break;
        }
        const returned = this.#walk(
          this.table.chain(name),
          [step(kind === "jump" ? `jumps to ${name}` : `goes to ${name}`)],
          inside,
        );
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

  #step(chain: Chain, rule: Rule, path: Path, action: string): Path {
    this.budget.step(chain.name);
    const step = this.taken.take(this.table, chain, rule, path.packet.hook, action);
    return { ...path, trail: { step, comment: rule.comment, before: path.trail } };
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
    const doubted = this.#step(chain, rule, path, `${assumption}: ${reason}`);
    return { ...doubted, trail: { ...doubted.trail!, comment: null } };
  }
}

/** The rules that any of the paths may match: where they go to stays the same within a table. */
function rulesFor({ rules, index }: Chain, paths: readonly Path[]): readonly Rule[] {
  const dest = paths.at(0)?.packet.dest.text;
  const same = dest !== undefined && paths.every(({ packet }) => packet.dest.text === dest);
  return same ? index.forDest(dest) : rules;
}

function withPacket(path: Path, packet: Packet): Path {
  return path.packet === packet ? path : { ...path, packet };
}

function changed(path: Path, { packet, share }: Change): Path {
  return { ...path, packet, probability: multiply(path.probability, share) };
}

/** Makes one of paths that differ in nothing but how they came about; the likeliest trail stays. */
function merge(paths: readonly Path[]): readonly Path[] {
  if (paths.length < 2) return paths;
  const distinct = new Map<string, Path>();
  for (const path of paths) {
    const key = keyOf(path.packet);
    const other = distinct.get(key);
    if (other === undefined) {
      distinct.set(key, path);
      continue;
    }
    const likelier = exceeds(path.probability, other.probability) ? path : other;
    distinct.set(key, { ...likelier, probability: add(path.probability, other.probability) });
  }
  return [...distinct.values()];
}

/** Everything that rules can change in a packet. */
function keyOf(packet: Packet): string {
  const { source, dest, destPort, mark, connectionMark, remembered } = packet;
  const { state, redirected, masqueraded, intercepted, virtual } = packet;
  return [
    [source.id, dest.text, destPort, mark, connectionMark],
    [state, redirected, masqueraded, intercepted],
    [virtual?.address.text, virtual?.port],
    remembered,
  ].join(" ");
}

function shown(probability: Fraction): string {
  return `probability ${Number(toNumber(probability).toFixed(6))}`;
}

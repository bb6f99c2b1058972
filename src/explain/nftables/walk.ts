/**
 * One base chain and the chains that it leads to: rule after rule, statement after statement, as the
 * kernel's nft_do_chain does it, but with every way that chance may take.
 *
 * @module
 */

import type {
  Element,
  Nat,
  Reject,
  Statement,
  Verdict,
  VerdictMap,
} from "../../dataplane/nftables/language/ast.ts";
import { statementText } from "../../dataplane/nftables/language/print.ts";
import { elementText } from "../../dataplane/nftables/language/print_expressions.ts";
import { typesOf } from "../../dataplane/nftables/language/types.ts";
import { complement, type Fraction, fraction, multiply, toNumber } from "../fraction.ts";
import { applyTranslation } from "../iptables/apply.ts";
import type { Packet } from "../netfilter/packet.ts";
import { type End, merge, type Path } from "../netfilter/paths.ts";
import type { World } from "../netfilter/world.ts";
import { isAside, makesNoDifference } from "./doubt.ts";
import type { LinkHook } from "./hooks.ts";
import { atLimit } from "./limits.ts";
import { mangle } from "./mangle.ts";
import { nameOf, setOf, type Surroundings, test } from "./match.ts";
import { MOST_WAYS, natWays } from "./nat.ts";
import { type Journal, Notes } from "./notes.ts";
import { read, settle } from "./readings.ts";
import type { NodeTable, PlacedChain, PlacedRule } from "./tables.ts";
import { remember, untracked } from "./traces.ts";

/** What a base chain made of the paths that came to it. */
export interface Walked {
  /** Those that go on, to the hook's next base chain. */
  readonly accepted: readonly Path[];
  /** Those that go on and were translated: no other chain translates them at this hook. */
  readonly translated: readonly Path[];
  readonly ended: readonly End[];
}

/** A path within a rule. */
interface Asked {
  readonly path: Path;
  /** What its matches rest on. */
  readonly notes: readonly string[];
}

/** Where the paths of one rule go. */
interface Ways {
  /** To the next rule. */
  readonly next: Path[];
  /** To the chain that called. */
  readonly back: Path[];
}

const NO_NOTES: readonly string[] = [];

/**
 * Sends paths into a base chain.
 *
 * @param at the hook, where that is at a link.
 */
export function walkBase(
  chain: PlacedChain,
  paths: readonly Path[],
  table: NodeTable,
  world: World,
  journal: Journal,
  at: LinkHook | null = null,
): Walked {
  return new Walk(table, world, journal, at).run(chain, paths);
}

class Walk {
  readonly #accepted: Path[] = [];
  readonly #translated: Path[] = [];
  readonly #ended: End[] = [];
  /** The chains that the walk is in, the innermost last. */
  readonly #inside: PlacedChain[] = [];
  readonly #around: Surroundings;
  readonly #notes: Notes;

  constructor(
    private readonly table: NodeTable,
    world: World,
    private readonly journal: Journal,
    at: LinkHook | null,
  ) {
    this.#around = { table, world };
    this.#notes = new Notes(table, journal, at);
  }

  run(chain: PlacedChain, paths: readonly Path[]): Walked {
    const left = this.#walk(chain, paths);
    if (chain.base?.policy !== "drop") {
      this.#accepted.push(...left);
    } else {
      for (const path of left) {
        this.#ended.push({ path: this.#notes.policy(chain, path), verdict: "DROP" });
      }
    }
    return { accepted: merge(this.#accepted), translated: this.#translated, ended: this.#ended };
  }

  /** Those that come back from the chain: from its end, by return, or from where it went by goto. */
  #walk(chain: PlacedChain, paths: readonly Path[]): readonly Path[] {
    this.#inside.push(chain);
    const back: Path[] = [];
    let here = paths;
    for (const rule of chain.rules) {
      if (here.length === 0) break;
      this.journal.budget.ask(here.length, chain.name);
      const next: Path[] = [];
      for (const path of here) this.#do(rule, 0, { path, notes: NO_NOTES }, { next, back });
      here = next.length > here.length ? merge(next) : next;
    }
    this.#inside.pop();
    return merge(back.length === 0 ? here : [...back, ...here]);
  }

  /** Does a rule's statements from one on. */
  #do(rule: PlacedRule, from: number, asked: Asked, ways: Ways): void {
    let { path, notes } = asked;
    const { statements } = rule.rule;
    for (let i = from; i < statements.length; i++) {
      const statement = statements[i];
      switch (statement.kind) {
        case "match": {
          const result = test(statement, path.packet, this.#around);
          if (result.kind === "unknown") {
            ways.next.push(this.#undecided(rule, i, path, result.reason));
            return;
          }
          if (result.kind === "no") {
            ways.next.push(
              result.note === undefined
                ? path
                : this.#notes.step(rule, path, `no match: ${result.note}`),
            );
            return;
          }
          if (result.note !== undefined) notes = [...notes, result.note];
          if (result.kind === "chance") {
            const { probability } = result;
            ways.next.push(scaled(path, complement(probability)));
            path = scaled(path, probability);
            notes = [...notes, `by chance, ${shown(probability)}`];
          }
          continue;
        }
        case "counter":
        case "log":
          continue;
        case "notrack":
          path = untracked(rule, path, notes, this.#notes);
          continue;
        case "update": {
          path = remember(rule, path, notes, statement, this.#notes, this.#around);
          const asked = this.#count(rule, i, { path, notes }, statement.statements, ways);
          if (asked === null) return;
          notes = asked.notes;
          continue;
        }
        case "mangle": {
          const outcome = mangle(statement, path.packet, this.#around);
          if (outcome.kind === "unknown") {
            ways.next.push(this.#undecided(rule, i, path, outcome.reason));
            return;
          }
          if (outcome.kind === "absent") {
            ways.next.push(path);
            return;
          }
          const changed = outcome.ways.map(({ packet, share, action }): Path => {
            const noted = action === null ? path : this.#notes.act(rule, path, action, notes);
            return { ...scaled(noted, share), packet };
          });
          for (const one of changed.slice(1)) {
            this.#do(rule, i + 1, { path: one, notes }, ways);
          }
          path = changed[0];
          continue;
        }
        case "limit":
        case "unknown": {
          if (statement.kind === "unknown" && isAside(statement.text)) continue;
          const asked = this.#count(rule, i, { path, notes }, [statement], ways);
          if (asked === null) return;
          notes = asked.notes;
          continue;
        }
        case "reject": {
          const action = `rejected with ${answerOf(statement, path.packet)}`;
          const end = this.#notes.act(rule, path, action, notes);
          this.#ended.push({ path: end, verdict: "REJECT" });
          return;
        }
        case "nat":
          if (this.#translate(rule, i, { path, notes }, statement, ways)) return;
          continue;
        case "verdict":
          if (this.#decide(rule, { path, notes }, statement.verdict, null, ways)) return;
          continue;
        case "vmap":
          this.#lookUp(rule, i, { path, notes }, statement, ways);
          return;
      }
    }
    ways.next.push(path);
  }

  /** Asks statements that count; null: the rule is over. */
  #count(
    rule: PlacedRule,
    at: number,
    asked: Asked,
    counting: readonly Statement[],
    { next }: Ways,
  ): Asked | null {
    const { path } = asked;
    let { notes } = asked;
    for (const statement of counting) {
      const limit = atLimit(statement);
      if (limit === null) {
        const reason = `${statementText(statement)} is not understood`;
        next.push(this.#undecided(rule, at, path, reason));
        return null;
      }
      if (!limit.goesOn) {
        next.push(this.#notes.step(rule, path, `no match: ${limit.note}`));
        return null;
      }
      if (limit.note !== null) notes = [...notes, limit.note];
    }
    return { path, notes };
  }

  /** Does what a verdict says; false when the rule goes on. */
  #decide(
    rule: PlacedRule,
    { path, notes }: Asked,
    verdict: Verdict,
    comment: string | null,
    { next, back }: Ways,
  ): boolean {
    const act = (action: string) => this.#notes.act(rule, path, action, notes, comment);
    switch (verdict.kind) {
      case "continue":
        return false;
      case "accept":
        this.#accepted.push(act(`accepted in chain ${this.#inside[0].name}`));
        return true;
      case "drop":
        this.#ended.push({ path: act("dropped"), verdict: "DROP" });
        return true;
      case "return":
        back.push(act("returns"));
        return true;
      case "jump":
      case "goto": {
        const { kind, chain: name } = verdict;
        const called = this.table.chain(name);
        if (called === undefined || this.#inside.includes(called)) {
          const reason = called === undefined
            ? `what chain ${name} has is not given`
            : `chain ${name} calls itself`;
          next.push(this.#notes.doubt(rule, path, reason, "not followed"));
          return true;
        }
        const inside = act(kind === "jump" ? `jumps to ${name}` : `goes to ${name}`);
        (kind === "jump" ? next : back).push(...this.#walk(called, [inside]));
        return true;
      }
    }
  }

  /** Does what a verdict map says, for every way that its key may be. */
  #lookUp(
    rule: PlacedRule,
    at: number,
    { path, notes }: Asked,
    { key, map }: VerdictMap,
    ways: Ways,
  ): void {
    const types = typesOf(key);
    const index = setOf(map, types, this.table);
    const reading = settle(read(key, path.packet, this.#around.world));
    const undecided = (reason: string) => {
      ways.next.push(this.#undecided(rule, at, path, reason));
    };
    const follow = (asked: Asked, element: Element) => {
      const { data, comment } = element;
      if (data === null || !isVerdict(data)) return undecided("an element is not understood");
      const by = map.kind === "set" ? asked.notes : [...asked.notes, `by ${named(element, types)}`];
      const going = { path: asked.path, notes: by };
      if (!this.#decide(rule, going, data, comment, ways)) {
        this.#do(rule, at + 1, going, ways);
      }
    };
    if (index === null) return undecided(`what map ${nameOf(map)} holds is not given`);
    if (reading.kind === "absent") {
      ways.next.push(path);
    } else if (reading.kind === "known") {
      const found = index.find(reading.value);
      if (found === "unknown") undecided("an element is not understood");
      else if (found === null) ways.next.push(path);
      else follow({ path, notes }, found);
    } else if (reading.kind === "chance" && reading.count <= MOST_WAYS) {
      const { first, count, note } = reading;
      const share = fraction(1n, BigInt(count));
      const why = count === 1 ? [] : [`by chance, ${shown(share)}`, ...note === null ? [] : [note]];
      const one = { path: scaled(path, share), notes: [...notes, ...why] };
      for (let number = first; number < first + count; number++) {
        const found = index.find(number);
        if (found === "unknown") undecided("an element is not understood");
        else if (found === null) ways.next.push(one.path);
        else follow(one, found);
      }
    } else {
      undecided(reading.kind === "unknown" ? reading.reason : "chance has too many ways");
    }
  }

  /** Translates addresses, after which the base chain is over; false when the rule goes on. */
  #translate(
    rule: PlacedRule,
    at: number,
    { path, notes }: Asked,
    nat: Nat,
    { next }: Ways,
  ): boolean {
    const { packet } = path;
    if (nat.family !== null && (nat.family === "ip") !== (packet.family === "IPv4")) return false;
    const outcome = natWays(nat, packet, this.#around);
    if (outcome.kind === "unknown") {
      next.push(this.#undecided(rule, at, path, outcome.reason));
    } else if (outcome.kind === "nothing") {
      next.push(path);
    } else {
      for (const { target, share, note } of outcome.ways) {
        const why = note === null ? notes : [...notes, note];
        for (const change of applyTranslation(packet, target, this.#around.world)) {
          const done = this.#notes.act(rule, path, change.action, why);
          const whole = multiply(share, change.share);
          this.#translated.push({ ...scaled(done, whole), packet: change.packet });
        }
      }
    }
    return true;
  }

  /** What cannot be decided counts as no match, unless nothing depends on it. */
  #undecided(
    rule: PlacedRule,
    at: number,
    path: Path,
    reason: string,
  ): Path {
    const isBase = this.#inside.length === 1;
    return makesNoDifference(isBase, rule, at, path.packet, this.#around)
      ? path
      : this.#notes.doubt(rule, path, reason, "taken as no match");
  }
}

function scaled(path: Path, share: Fraction): Path {
  return { ...path, probability: multiply(path.probability, share) };
}

function isVerdict(data: NonNullable<Element["data"]>): data is Verdict {
  return ["accept", "drop", "return", "continue", "jump", "goto"].includes(data.kind);
}

function named(element: Element, types: readonly string[]): string {
  return `element ${elementText({ ...element, data: null, comment: null }, types, [])}`;
}

/** How a refusal is answered, in nft's words. */
function answerOf({ with: answer }: Reject, { family }: Packet): string {
  if (answer === null) return `${family === "IPv4" ? "icmp" : "icmpv6"} port-unreachable`;
  return answer.type === "tcp reset" ? answer.type : `${answer.type} ${answer.code}`;
}

function shown(probability: Fraction): string {
  return `probability ${Number(toNumber(probability).toFixed(6))}`;
}

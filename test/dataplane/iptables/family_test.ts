/** Keeping one family's rules when things go wrong. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { RulesAccess } from "../../../src/dataplane/iptables/apply.ts";
import { formatDrift } from "../../../src/dataplane/iptables/drift.ts";
import { FamilyRules } from "../../../src/dataplane/iptables/family.ts";
import { inParts } from "../../../src/dataplane/iptables/programs.ts";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import type { Family } from "../../../src/net/address.ts";
import { objects } from "../objects.ts";
import { restore, savedText, type Tables } from "./interpreter.ts";
import { plannerOf } from "./plans.ts";

const NO_CHANGE = { node: null, updated: [], removed: [] };

/** A node in memory whose iptables-restore can be made to stop before the end of a text. */
class Node implements RulesAccess {
  readonly tables: Tables = new Map([
    ["filter", new Map([["INPUT", []], ["FORWARD", []], ["OUTPUT", []]])],
    ["nat", new Map([["PREROUTING", []], ["OUTPUT", []], ["POSTROUTING", []]])],
    ["mangle", new Map()],
  ]);
  /** Transactions that are still carried out. */
  left = Infinity;
  texts: string[] = [];

  constructor(readonly chainLimit = Infinity) {}

  read(): Promise<string> {
    return Promise.resolve(savedText(this.tables));
  }

  async readPieces(_family: Family, take: (piece: string) => void): Promise<void> {
    for (const piece of inParts(await this.read(), 1000)) take(piece);
  }

  restore(_family: Family, pieces: string | Iterable<string>): Promise<void> {
    const text = [...pieces].join("");
    this.texts.push(text);
    for (const part of text.split(/(?<=^COMMIT\n)/m)) {
      if (this.left-- <= 0) return Promise.reject(new Error("killed"));
      restore(this.tables, part);
    }
    return Promise.resolve();
  }

  listChain(_family: Family, table: string, chain: string): Promise<string | null> {
    return Promise.resolve(this.tables.get(table)!.get(chain)?.join("\n") ?? null);
  }

  get contents() {
    return [...this.tables].map(([table, chains]) => [
      table,
      [...chains].sort(([a], [b]) => a < b ? -1 : 1),
    ]);
  }
}

const planner = plannerOf(Object.values(objects.IPv4).flat(), { families: ["IPv4"] });

async function clean(): Promise<Node> {
  const node = new Node();
  await new FamilyRules("IPv4", node).syncAll(planner.plan, DEFAULT_RULE_OPTIONS);
  return node;
}

Deno.test("wherever a sync is cut off, the next one ends as a clean start does", async () => {
  const { contents } = await clean();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(5, 20, Infinity),
      fc.nat({ max: 30 }),
      fc.boolean(),
      async (chainLimit, transactions, restarted) => {
        const node = new Node(chainLimit);
        node.left = transactions;
        let rules = new FamilyRules("IPv4", node);
        const first = rules.syncAll(planner.plan, DEFAULT_RULE_OPTIONS);
        const failed = await first.then(() => false, () => true);
        assert.equal(rules.doubtful, failed);
        node.left = Infinity;
        if (restarted) rules = new FamilyRules("IPv4", node);
        await rules.syncAll(planner.plan, DEFAULT_RULE_OPTIONS);
        assert.deepEqual(node.contents, contents);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("a change that failed is made by the next full sync", async () => {
  const node = new Node();
  const own = plannerOf(Object.values(objects.IPv4).flat(), { families: ["IPv4"] });
  const rules = new FamilyRules("IPv4", node);
  await rules.syncAll(own.plan, DEFAULT_RULE_OPTIONS);
  const before = structuredClone(node.contents);
  const change = own.update([{ action: "delete", object: objects.IPv4.np[0] }]);
  node.left = 0;
  await assert.rejects(rules.syncChange(own.plan, change, DEFAULT_RULE_OPTIONS), /killed/);
  assert.deepEqual(node.contents, before);
  assert.ok(rules.doubtful);
  await assert.rejects(rules.syncChange(own.plan, NO_CHANGE, DEFAULT_RULE_OPTIONS), /not known/);
  node.left = Infinity;
  const sync = await rules.syncAll(own.plan, DEFAULT_RULE_OPTIONS);
  // The rules are those that nobody but us changed.
  assert.deepEqual(sync.drift, []);
  assert.doesNotMatch(savedText(node.tables), /"ns\/np:p80 cluster IP"/);
});

Deno.test("doubt that comes up during a sync is not lost", async () => {
  const node = await clean();
  const rules = new FamilyRules("IPv4", node);
  const sync = rules.syncAll(planner.plan, DEFAULT_RULE_OPTIONS);
  rules.doubt();
  await sync;
  assert.ok(rules.doubtful);
});

Deno.test("nothing is sent when nothing changed", async () => {
  const node = await clean();
  node.texts = [];
  const rules = new FamilyRules("IPv4", node);
  assert.equal((await rules.syncAll(planner.plan, DEFAULT_RULE_OPTIONS)).lines, 0);
  await rules.syncChange(planner.plan, NO_CHANGE, DEFAULT_RULE_OPTIONS);
  assert.deepEqual(node.texts, []);
});

Deno.test("drift says what is missing and what should not be there", async () => {
  const node = await clean();
  const rules = new FamilyRules("IPv4", node);
  assert.deepEqual(await rules.drift(), []);
  await rules.syncAll(planner.plan, DEFAULT_RULE_OPTIONS);
  const filter = node.tables.get("filter")!;
  const nat = node.tables.get("nat")!;
  filter.get("KUBE-FORWARD")!.reverse();
  filter.set("INPUT", []);
  nat.get("KUBE-MARK-MASQ")![0] = "-j RETURN";
  nat.set("KUBE-SVC-AAAAAAAAAAAAAAAA", []);
  node.tables.get("mangle")!.delete("KUBE-PROXY-CANARY");
  const drift = await rules.drift();
  assert.deepEqual(drift.map(formatDrift).map((line) => line.replace(/"-m .*"/, '"…"')), [
    "IPv4 filter KUBE-FORWARD: rules in another order",
    'IPv4 filter INPUT: without "…"',
    'IPv4 filter INPUT: without "…"',
    'IPv4 filter INPUT: without "…"',
    'IPv4 filter INPUT: without "-j KUBE-FIREWALL"',
    'IPv4 nat KUBE-MARK-MASQ: without "-j MARK --or-mark 0x00004000", with "-j RETURN"',
    "IPv4 nat KUBE-SVC-AAAAAAAAAAAAAAAA: the chain should not be there",
    "IPv4 mangle KUBE-PROXY-CANARY: the chain was removed",
  ]);
  const sync = await rules.syncAll(planner.plan, DEFAULT_RULE_OPTIONS);
  assert.deepEqual(sync.drift, drift);
  assert.deepEqual(await rules.drift(), []);
});

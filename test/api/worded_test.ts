/** Answers that are kept in words: the same as if both witnesses were asked each time. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { explanation, withLines } from "../../src/api/explanation.ts";
import { PlanViews } from "../../src/api/plan_views.ts";
import type { NodeView } from "../../src/api/state.ts";
import { type Testimony, Witnesses } from "../../src/api/witness/witnesses.ts";
import { WordedAnswers } from "../../src/api/witness/worded.ts";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { render, renderChange } from "../../src/dataplane/iptables/render.ts";
import type { RuleSet } from "../../src/dataplane/iptables/rules.ts";
import type { PacketQuery } from "../../src/engine/handle.ts";
import type { Family } from "../../src/net/address.ts";
import type { PlanChange } from "../../src/plan/plan.ts";
import { SYN } from "../engine/packets.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

/** Local pods, the node, others, endpoints (hairpin), and who is in the source ranges. */
const SOURCES = [
  "10.180.9.9",
  "10.180.9.90",
  "10.180.0.1",
  "10.180.0.2",
  "192.168.0.2",
  "127.0.0.1",
  "203.0.113.5",
  "203.0.113.50",
  "198.51.100.99",
];
const DESTS = [
  ["10.0.1.175", 80],
  ["198.51.100.7", 80],
  ["198.51.100.8", 80],
  ["192.168.0.2", 30080],
  ["10.0.1.180", 80],
  ["10.0.9.9", 80],
] as const;

const packet: fc.Arbitrary<PacketQuery> = fc.record({
  source: fc.constantFrom(...SOURCES),
  dest: fc.constantFrom(...DESTS),
}).map(({ source, dest: [dest, port] }) => ({ source, dest, port, protocol: "TCP" }));

const sticky = (): ClusterObject => ({
  kind: "Service",
  metadata: { name: "sticky", namespace: "default" },
  spec: {
    type: "ClusterIP",
    clusterIP: "10.0.1.180",
    sessionAffinity: "ClientIP",
    ports: [{ name: "http", protocol: "TCP", port: 80 }],
  },
});

const MODES = ["userspace", "iptables", "ipvs", "nftables"] as const;

/** Another one, whose rules stand among those of the rest. */
const other = (): ClusterObject[] => [plain("other", "10.0.9.9"), slice("other", ["10.180.0.7"])];

type Step =
  | { readonly kind: "ask"; readonly packet: PacketQuery }
  | { readonly kind: "send"; readonly packet: PacketQuery }
  | { readonly kind: "endpoints"; readonly of: string; readonly count: number }
  | { readonly kind: "other"; readonly action: "apply" | "delete" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("ask" as const), packet }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("send" as const), packet }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("endpoints" as const),
      of: fc.constantFrom("web", "sticky"),
      count: fc.nat(3),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("other" as const),
      action: fc.constantFrom("apply" as const, "delete" as const),
    }),
  },
);

/** Iptables mode's rules as its data plane has them: rendered anew for Services that changed. */
class SyncedState extends RealState {
  readonly #rules = new Map<Family, RuleSet>();

  override node: NodeView = {
    iptables: {
      rules: (family) => this.#rules.get(family) ?? null,
      saved: () => Promise.reject(new Error("there is no node")),
    },
  };

  override async apply(...given: Parameters<RealState["apply"]>): Promise<PlanChange> {
    const change = await super.apply(...given);
    const { node } = this.plan();
    for (const family of this.families) {
      const known = this.#rules.get(family);
      const { rules } = known === undefined
        ? render(this.plan(), family, this.ruleOptions)
        : renderChange(known, node, change, this.ruleOptions);
      this.#rules.set(family, rules);
    }
    return change;
  }
}

async function setUp(mode: ProxyMode, mostCharacters?: number) {
  const State = mode === "iptables" ? SyncedState : RealState;
  const state = new State(mode, mode === "userspace", { connections: 4096 });
  await state.apply([...web(), sticky(), slice("sticky", ["10.180.0.1", "10.180.0.2"])]);
  const witnesses = new Witnesses(state, new PlanViews(state));
  let written = 0;
  const write = (said: Testimony) => {
    written++;
    return JSON.stringify(explanation(witnesses, said));
  };
  const worded = new WordedAnswers(witnesses, { write, withLines }, mostCharacters);
  const same = async (packet: PacketQuery) => {
    const expected = JSON.stringify(explanation(witnesses, await witnesses.ask(packet)));
    assert.equal(timeless(await worded.about(packet)), timeless(expected));
  };
  return { state, worded, same, written: () => written };
}

/** Between two answers a second may end. */
function timeless(text: string): string {
  return text.replaceAll(/for \d+ s more/g, "for some time");
}

for (const mode of MODES) {
  Deno.test(`kept answers are those that would be given anew, in ${mode} mode`, async () => {
    const run = async (steps: readonly Step[]) => {
      const { state, same } = await setUp(mode, 50_000);
      let sourcePort = 1024;
      for (const step of steps) {
        if (step.kind === "ask") await same(step.packet);
        else if (step.kind === "send") {
          state.send({ ...step.packet, sourcePort: sourcePort++, flags: SYN });
        } else if (step.kind === "other") {
          await state.apply(other(), { action: step.action });
        } else {
          const addresses = ["10.180.0.1", "10.180.0.2", "10.180.0.3"].slice(0, step.count);
          await state.apply([slice(step.of, addresses)]);
        }
      }
    };
    const steps = fc.array(step, { minLength: 5, maxLength: 60 });
    await fc.assert(fc.asyncProperty(steps, run), { numRuns: mode === "userspace" ? 30 : 10 });
  });
}

Deno.test("clients of one class are answered with what was said of one of them", async () => {
  for (const mode of MODES) {
    const { same, written } = await setUp(mode);
    const packet = { dest: "10.0.1.175", port: 80, protocol: "TCP" } as const;
    for (let i = 10; i < 60; i++) await same({ ...packet, source: `10.180.9.${i}` });
    assert.equal(written(), 1, mode);
    await same({ ...packet, source: "198.51.100.99" });
    await same({ ...packet, source: "10.180.0.1" });
    assert.equal(written(), 3, mode);
  }
});

for (const mode of ["userspace", "iptables"] as const) {
  Deno.test(`an answer outlives changes of what it is not about, in ${mode} mode`, async () => {
    const { state, same, written } = await setUp(mode);
    const packet = { source: "10.180.9.9", dest: "10.0.1.175", port: 80, protocol: "TCP" } as const;
    await same(packet);
    for (const addresses of [["10.180.0.3"], ["10.180.0.1", "10.180.0.4"]]) {
      await state.apply([slice("sticky", addresses)]);
      await same(packet);
      await same(packet);
    }
    assert.equal(written(), 1);
    await state.apply([slice("web", ["10.180.0.3"])]);
    await same(packet);
    assert.equal(written(), 2);
    // Rules of another Service in front of its own give them other numbers.
    await state.apply(other());
    await same(packet);
    assert.equal(written(), mode === "iptables" ? 3 : 2);
  });
}

Deno.test("no more is kept than there is room for", async () => {
  const { worded, written } = await setUp("userspace", 2000);
  const about = (dest: string) =>
    worded.about({ source: "10.180.9.9", dest, port: 80, protocol: "TCP" });
  const { length } = await about("10.0.1.175");
  assert.ok(length > 1000 && length < 2000, `${length}`);
  await about("10.0.1.175");
  assert.equal(written(), 1);
  await about("10.0.1.180");
  await about("10.0.1.175");
  assert.equal(written(), 3);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { renderedTables } from "../../src/explain/iptables/rendered.ts";
import { render } from "../../src/dataplane/iptables/render.ts";
import type { ReadTable } from "../../src/dataplane/nftables/access.ts";
import type { UnknownRule } from "../../src/explain/answer.ts";
import { parseRuleset } from "../../src/dataplane/nftables/language/parse.ts";
import { printTable } from "../../src/dataplane/nftables/language/print.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../src/dataplane/nftables/options.ts";
import { render as renderTables } from "../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../src/dataplane/nftables/rules.ts";
import { formatSave } from "../dataplane/iptables/format_save.ts";
import { post, withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

const packet = { source: "10.180.9.9", dest: "10.0.1.175", port: 80, protocol: "TCP" };
const ENDS = ["10.180.0.1:8080", "10.180.0.2:8080", "10.180.0.3:8080"];

function query(values: Record<string, string | number>): string {
  const words = Object.entries(values).map(([key, value]) => [key, String(value)]);
  return `/api/v1/explain?${new URLSearchParams(words)}`;
}

async function proxy(mode: ProxyMode, programming = false): Promise<RealState> {
  const state = new RealState(mode, programming);
  await state.apply(web());
  return state;
}

function ends(backends: { address: string; port: number }[]): string[] {
  return backends.map(({ address, port }) => `${address}:${port}`).sort();
}

/** iptables-save of a node that has what the plan asks for. */
function savedOf(state: RealState) {
  return (family: "IPv4" | "IPv6") => {
    const { rules } = render(state.plan(), family, state.ruleOptions);
    return Promise.resolve(formatSave(renderedTables(rules)));
  };
}

/** A chain that packets come by in a mode with rules. */
const CHAINS = { iptables: "KUBE-SERVICES", nftables: "services", userspace: null };

for (const mode of ["iptables", "nftables", "userspace"] as const) {
  Deno.test(`explain in ${mode} mode: both witnesses agree`, async () => {
    await withQueryApi(await proxy(mode), async (ask) => {
      const { status, json } = await ask("/api/v1/explain", post({ ...packet, name: "a" }));
      assert.equal(status, 200);
      assert.equal(json.name, "a");
      assert.equal(json.verdict, "FORWARD");
      assert.equal(json.service, "default/web:http");
      assert.deepEqual(ends(json.backends), ENDS);
      for (const { probability } of json.backends) {
        assert.ok(Math.abs(probability - 1 / 3) < 1e-9);
      }
      assert.equal(json.masquerade, false);
      assert.equal(json.frontend, "ClusterIP");
      assert.equal(json.sourceClass, "pod");
      assert.deepEqual(json.disagreements, []);
      const expected = CHAINS[mode];
      assert.equal(json.answeredBy, expected === null ? "engine" : "rules");
      assert.deepEqual(json.witnesses, ["engine", expected === null ? "plan" : "rules"]);
      const chains = json.steps.map((step: { chain: string | null }) => step.chain);
      if (expected === null) assert.deepEqual(chains.filter((chain: string) => chain !== null), []);
      else assert.ok(chains.includes(expected), chains.join());
      assert.match(json.steps.at(-1).action, /policy Cluster, scheduler random over 3 backends/);
      const got = await ask(query({ ...packet, name: "a" }));
      assert.deepEqual(got.json, json);
    });
  });

  Deno.test(`explain in ${mode} mode: hairpin, refusals, node ports, and what no Service has`, async () => {
    const state = await proxy(mode);
    await state.apply([plain("none", "10.0.1.176")]);
    await withQueryApi(state, async (ask) => {
      const about = async (values: Record<string, string | number>) =>
        (await ask(query({ ...packet, ...values }))).json;
      const hairpin = await about({ source: "10.180.0.2" });
      assert.equal(hairpin.masquerade, false);
      assert.deepEqual(
        hairpin.backends.filter((end: { masquerade: boolean }) => end.masquerade)
          .map((end: { address: string }) => end.address),
        ["10.180.0.2"],
      );
      const rejected = await about({ dest: "10.0.1.176" });
      assert.equal(rejected.verdict, "REJECT");
      const outside = await about({ source: "203.0.113.9", dest: "192.168.50.10", port: 30080 });
      assert.equal(outside.verdict, "FORWARD");
      assert.equal(outside.masquerade, true);
      const refused = await about({ source: "192.0.2.9", dest: "198.51.100.8" });
      assert.equal(refused.verdict, "DROP");
      assert.equal((await about({ dest: "192.0.2.77" })).verdict, "PASS");
      for (const { disagreements } of [hairpin, rejected, outside, refused]) {
        assert.deepEqual(disagreements, []);
      }
    });
  });
}

Deno.test("explain says where the engine is behind the plan", async () => {
  const state = await proxy("userspace");
  await state.apply([slice("web", ["10.180.0.1", "10.180.0.4"])], { engine: false });
  await withQueryApi(state, async (ask) => {
    const { json } = await ask(query(packet));
    assert.deepEqual(ends(json.backends), ENDS);
    assert.deepEqual(json.disagreements, [{
      field: "backends",
      engine: ENDS.join(", "),
      rules: "10.180.0.1:8080, 10.180.0.4:8080",
      known: null,
    }]);
  });
});

Deno.test("userspace mode masquerades always, which is no disagreement", async () => {
  const state = new RealState("userspace", true, { masqueradeAlways: true });
  await state.apply(web());
  await withQueryApi(state, async (ask) => {
    const { json } = await ask(query(packet));
    assert.equal(json.masquerade, true);
    assert.ok(json.backends.every((end: { masquerade: boolean }) => end.masquerade));
    assert.deepEqual(json.disagreements, []);
  });
});

Deno.test("rules=node asks what the node really has", async () => {
  const state = await proxy("iptables", true);
  const saved = savedOf(state);
  let reads = 0;
  let edit = (text: string) => text;
  const { rules } = render(state.plan(), "IPv4", state.ruleOptions);
  state.node = {
    iptables: {
      rules: (family) => family === "IPv4" ? rules : null,
      async saved(family) {
        reads++;
        return edit(await saved(family));
      },
    },
  };
  await withQueryApi(state, async (ask) => {
    const asked = query({ ...packet, rules: "node" });
    assert.deepEqual((await ask(asked)).json.disagreements, []);
    assert.equal(reads, 1);
    edit = (text) => text.replace(/^-A KUBE-SEP-\S+ .*--to-destination 10\.180\.0\.2:8080$/m, "");
    const broken = (await ask(asked)).json;
    assert.equal(broken.verdict, "FORWARD");
    assert.deepEqual(broken.disagreements.map(({ field }: { field: string }) => field), [
      "backends",
    ]);
    assert.deepEqual((await ask(query(packet))).json.disagreements, []);
    edit = (text) => text.replace(/^-A KUBE-SERVICES .*-d 10\.0\.1\.175.*$/m, "");
    assert.deepEqual((await ask(asked)).json.disagreements, [
      { field: "verdict", engine: "FORWARD", rules: "PASS", known: null },
    ]);
    assert.equal((await ask("/api/v1/explain?rules=node", post(packet))).json.verdict, "PASS");
    const jumps = Array.from({ length: 40 }, (_, i) => `-A T${i} -j T${i + 1}`);
    const chains = jumps.map((_, i) => `:T${i} - [0:0]`).join("\n");
    const doubling = ["-A PREROUTING -j T0", ...jumps.flatMap((jump) => [jump, jump])].join("\n");
    edit = () => `*nat\n:PREROUTING ACCEPT [0:0]\n${chains}\n:T40 - [0:0]\n${doubling}\nCOMMIT\n`;
    const tooMany = await ask(asked);
    assert.equal(tooMany.status, 422);
    assert.equal(tooMany.json.error.code, "too_many_ways");
    edit = () => "*nat\nnonsense\nCOMMIT\n";
    const unreadable = await ask(asked);
    assert.equal(unreadable.status, 503);
    assert.equal(unreadable.json.error.code, "node_unreadable");
  });
});

Deno.test("in nftables mode, rules=node asks the table that the node has", async () => {
  const state = await proxy("nftables", true);
  const { rules } = renderTables(state.plan(), "IPv4", DEFAULT_NFTABLES_OPTIONS);
  const whole = printTable(tableOf(rules));
  let text: string | null = whole;
  state.node = {
    nftables: {
      rules: (family) => family === "IPv4" ? rules : null,
      read: () => Promise.resolve(text === null ? [] : parseRuleset(text).tables),
    },
  };
  await withQueryApi(state, async (ask) => {
    const asked = query({ ...packet, rules: "node" });
    assert.deepEqual((await ask(asked)).json.disagreements, []);
    assert.deepEqual((await ask("/api/v1/diff?verify=true")).json.verification.disputes, []);
    text = whole.replace(/^.*dnat to 10\.180\.0\.2:8080$/m, "");
    const { json: broken } = await ask(asked);
    assert.deepEqual(broken.disagreements.map(({ field }: { field: string }) => field), [
      "backends",
    ]);
    text = null;
    const { json: gone } = await ask(asked);
    assert.deepEqual([gone.verdict, gone.disagreements[0].rules], ["PASS", "PASS"]);
    assert.deepEqual((await ask(query(packet))).json.disagreements, []);
    const { verification } = (await ask("/api/v1/diff?verify=true")).json;
    assert.equal(verification.rules, "node");
    assert.ok(verification.disputes.length > 0);
  });
});

Deno.test("iptables mode serves node ports at loopback addresses too, which is known", async () => {
  await withQueryApi(await proxy("iptables"), async (ask) => {
    for (const dest of ["127.0.0.1", "127.9.9.9"]) {
      const asked = query({ source: "127.0.0.1", dest, port: 30080, protocol: "TCP" });
      const { verdict, service, disagreements } = (await ask(asked)).json;
      assert.equal(verdict, "FORWARD");
      assert.equal(service, "default/web:http");
      assert.match(disagreements[0].known, /loopback/);
      assert.equal(disagreements.length, 1);
    }
  });
});

Deno.test("in nftables mode, rules=node asks the tables of others too", async () => {
  const state = await proxy("nftables", true);
  const { rules } = renderTables(state.plan(), "IPv4", DEFAULT_NFTABLES_OPTIONS);
  const base = "type filter hook forward priority 0;";
  let other = `chain c { ${base} ip daddr 10.180.0.0/16 drop; }`;
  let unread: readonly ReadTable[] = [];
  state.node = {
    nftables: {
      rules: (family) => family === "IPv4" ? rules : null,
      read: () => {
        const text = `table inet other {\n${other}\n}\n${printTable(tableOf(rules))}`;
        return Promise.resolve([...parseRuleset(text).tables, ...unread]);
      },
    },
  };
  await withQueryApi(state, async (ask) => {
    const asked = query({ ...packet, rules: "node" });
    const verification = async () => (await ask("/api/v1/diff?verify=true")).json.verification;
    const { json: dropped } = await ask(asked);
    const [{ engine, rules: said }] = dropped.disagreements;
    assert.deepEqual([dropped.verdict, engine, said], ["DROP", "FORWARD", "DROP"]);
    assert.equal(dropped.steps.at(-2).table, "inet other");
    assert.ok((await verification()).disputes.length > 0);
    // What is left open by others is no dispute about the proxy's rules.
    other = `chain c { ${base} policy drop; oifname "cni0" accept; }`;
    const { json: open } = await ask(asked);
    assert.deepEqual([open.verdict, open.unknown.length], ["DROP", 1]);
    assert.deepEqual((await verification()).disputes, []);
    other = "";
    unread = [{ family: "inet", name: "huge", reason: "it has more than 20000 rules" }];
    const { json: huge } = await ask(asked);
    assert.equal(huge.verdict, "FORWARD");
    assert.deepEqual(huge.unknown.map(({ table, reason }: UnknownRule) => [table, reason]), [
      ["inet huge", "the table was not read: it has more than 20000 rules"],
    ]);
    assert.deepEqual((await verification()).disputes, []);
  });
});

Deno.test("nftables mode refuses other ports of cluster IPs, which is known", async () => {
  await withQueryApi(await proxy("nftables"), async (ask) => {
    const { json } = await ask(query({ ...packet, port: "81" }));
    assert.equal(json.verdict, "REJECT");
    const [{ field, engine, rules, known }] = json.disagreements;
    assert.deepEqual([field, engine, rules], ["verdict", "PASS", "REJECT"]);
    assert.match(known, /^nftables mode refuses what comes to other ports of cluster IPs/);
    const { text } = await ask("/explain?source=10.244.0.5&dest=10.0.1.175&port=80&protocol=TCP");
    assert.match(text, /service-\S+-default\/web\/tcp\/http, to 10\.180\.0\.1/);
    assert.match(text, /rule \d+ chooses by chance/);
    assert.match(text, /on the node this moment/);
  });
});

Deno.test("rules=node of a node that is not programmed is a conflict", async () => {
  await withQueryApi(await proxy("iptables"), async (ask) => {
    const { status, json } = await ask(query({ ...packet, rules: "node" }));
    assert.equal(status, 409);
    assert.equal(json.error.field, "rules");
  });
});

Deno.test("the rules are understood anew when the plan changes", async () => {
  const state = await proxy("iptables");
  await withQueryApi(state, async (ask) => {
    assert.equal((await ask(query(packet))).json.backends.length, 3);
    await state.apply([slice("web", ["10.180.0.7"])]);
    const { json } = await ask(query(packet));
    assert.deepEqual(ends(json.backends), ["10.180.0.7:8080"]);
    assert.deepEqual(json.disagreements, []);
  });
});

const BAD: [name: string, change: Record<string, string>, field: string][] = [
  ["no address", { source: "web" }, "source"],
  ["two families", { dest: "fd00::1" }, "dest"],
  ["port 0", { port: "0" }, "port"],
  ["a port that is no number", { port: "http" }, "port"],
  ["port 65536", { sourcePort: "65536" }, "sourcePort"],
  ["another protocol", { protocol: "ICMP" }, "protocol"],
  ["an unknown word", { dst: "10.0.0.1" }, "dst"],
  ["other rules", { rules: "mine" }, "rules"],
  ["a long name", { name: "x".repeat(257) }, "name"],
];

for (const [name, change, field] of BAD) {
  Deno.test(`explain of wrong shape: ${name}`, async () => {
    await withQueryApi(await proxy("userspace"), async (ask) => {
      const { status, json } = await ask(query({ ...packet, ...change }));
      assert.equal(status, 400);
      assert.equal(json.error.field, field);
    });
  });
}

Deno.test("explain takes bodies as lookup does: bounded, JSON, one packet", async () => {
  await withQueryApi(await proxy("userspace"), async (ask) => {
    const status = async (init: RequestInit) => (await ask("/api/v1/explain", init)).status;
    assert.equal(await status(post([packet])), 400);
    assert.equal(await status(post({ ...packet, port: "80" })), 400);
    assert.equal(await status({ ...post(packet), body: "{" }), 400);
    assert.equal(await status({ ...post(packet), body: " ".repeat(70_000) }), 413);
    assert.equal(await status({ method: "POST", body: "x" }), 415);
    assert.equal((await ask("/api/v1/explain?rules=x", post(packet))).status, 400);
  });
});

Deno.test("a question asked in plain text gets the answer of the same one escaped", async () => {
  const values = (...all: string[]) => fc.constantFrom(...all);
  const question = fc.record({
    source: values("10.180.9.9", "010.180.9.9", "fd00::9", "::ffff:10.180.9.9", "nowhere", ""),
    dest: values("10.0.1.175", "10.0.01.175", "fd00::1", "10.0.1.175 ", "10.0.1.175/32"),
    port: values("80", "080", "0", "65535", "65536", "8.0", "", "-1", "1e1"),
    protocol: values("TCP", "UDP", "SCTP", "tcp", "", "toString"),
    rules: values("synced", "node", "none"),
    name: values("a", ""),
    other: values("1"),
  }, { requiredKeys: ["source", "dest"] });
  await withQueryApi(await proxy("userspace"), async (ask) => {
    const said = async (query: string) => {
      const { status, json } = await ask(`/api/v1/explain?${query}`);
      return { status, json };
    };
    const same = async (question: Record<string, string | undefined>) => {
      const all = Object.entries(question).map(([key, value]) => `${key}=${value}`);
      const escaped = all.map((one) => `%${one.charCodeAt(0).toString(16)}${one.slice(1)}`);
      assert.deepEqual(await said(all.join("&")), await said(escaped.join("&")));
    };
    await fc.assert(fc.asyncProperty(question, same), { numRuns: 200 });
    await same(Object.fromEntries(Object.entries(packet).map(([key, value]) => [key, `${value}`])));
  });
});

Deno.test("answers and refusals carry what all answers carry", async () => {
  await withQueryApi(await proxy("userspace"), async (ask) => {
    const bad = query({ ...packet, port: 0 });
    for (const path of [query(packet), bad, query({ ...packet, asOf: 99 })]) {
      const { headers } = await ask(path, { headers: { "x-request-id": "mine-1" } });
      assert.equal(headers.get("x-request-id"), "mine-1");
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("cache-control"), "no-store");
      assert.match(headers.get("content-type")!, /^application\/json\b/);
    }
  });
});

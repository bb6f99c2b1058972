import assert from "node:assert/strict";
import { render } from "../../src/dataplane/iptables/render.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { parseSave } from "../../src/dataplane/iptables/save_text.ts";
import { parseRuleset } from "../../src/dataplane/nftables/language/parse.ts";
import { printRule } from "../../src/dataplane/nftables/language/print.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../src/dataplane/nftables/options.ts";
import { render as renderTables } from "../../src/dataplane/nftables/render.ts";
import { withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

async function state(mode: ProxyMode): Promise<RealState> {
  const state = new RealState(mode);
  await state.apply([...web(), plain("other", "10.0.1.176"), slice("other", ["10.180.0.9"])]);
  return state;
}

Deno.test("the rules of iptables mode, rendered in any mode, as text and as structure", async () => {
  for (const mode of ["iptables", "userspace"] as const) {
    await withQueryApi(await state(mode), async (ask) => {
      const { status, json } = await ask("/api/v1/rules/iptables");
      assert.equal(status, 200);
      assert.equal(json.running, mode === "iptables");
      assert.equal(json.source, "plan");
      assert.equal(json.node, "node1");
      assert.deepEqual(json.problems, []);
      const [four, six] = json.text.split("# IPv6\n");
      const nat = parseSave(four).find((table) => table.name === "nat")!;
      const structure = json.structure.families[0].tables.find(
        (table: { name: string }) => table.name === "nat",
      );
      assert.deepEqual(
        structure.chains.map((chain: { name: string }) => chain.name),
        [...nat.chains.keys()],
      );
      assert.ok(nat.rules.some(({ tokens }) => tokens.includes("10.0.1.175")));
      assert.equal(parseSave(six).length, 2);
      assert.equal((await ask("/api/v1/rules/iptables?format=text")).text, json.text);
    });
  }
});

Deno.test("the rules of one Service alone", async () => {
  await withQueryApi(await state("iptables"), async (ask) => {
    for (const mode of ["iptables", "userspace"]) {
      const { json } = await ask(`/api/v1/rules/${mode}?service=default/other`);
      assert.match(json.text, /10\.0\.1\.176/);
      assert.doesNotMatch(json.text, /10\.0\.1\.175/);
      const missing = await ask(`/api/v1/rules/${mode}?service=default/none`);
      assert.equal(missing.status, 404);
    }
  });
});

Deno.test("the rules of iptables mode are those of the last sync where it runs", async () => {
  const running = await state("iptables");
  const { rules } = render(running.plan(), "IPv4", running.ruleOptions);
  running.node = {
    iptables: {
      rules: (family) => family === "IPv4" ? rules : null,
      saved: () => Promise.reject(new Error("not asked for")),
    },
  };
  await running.apply([plain("later", "10.0.1.177")]);
  await withQueryApi(running, async (ask) => {
    const { json } = await ask("/api/v1/rules/iptables");
    assert.equal(json.source, "synced");
    assert.doesNotMatch(json.text, /10\.0\.1\.177/);
    assert.deepEqual(json.structure.families.map(({ family }: { family: string }) => family), [
      "IPv4",
    ]);
  });
});

Deno.test("the routing of userspace mode", async () => {
  await withQueryApi(await state("userspace"), async (ask) => {
    const { json } = await ask("/api/v1/rules/userspace");
    assert.equal(json.running, true);
    assert.ok(
      json.structure.routes.some(({ address }: { address: string }) => address === "10.0.1.175"),
    );
    assert.match(json.text, /^route 10\.0\.1\.175 source 192\.168\.50\.10$/m);
    assert.match(json.text, /^capture TCP 192\.168\.50\.10 30080-30080$/m);
  });
});

Deno.test("the virtual servers of ipvs mode, as the plan asks for them", async () => {
  await withQueryApi(await state("iptables"), async (ask) => {
    const { json } = await ask("/api/v1/rules/ipvs?service=default/other");
    assert.deepEqual([json.running, json.source], [false, "plan"]);
    assert.match(json.text, /^-A -t 10\.0\.1\.176:80 -s rr$/m);
    const { servers, addresses } = json.structure.families[0];
    assert.deepEqual(servers.map(({ name }: { name: string }) => name), ["10.0.1.176:80/TCP"]);
    assert.deepEqual(addresses, ["10.0.1.176"]);
  });
});

Deno.test("the rules of nftables mode, rendered in any mode, as text and as structure", async () => {
  for (const mode of ["nftables", "userspace"] as const) {
    await withQueryApi(await state(mode), async (ask) => {
      const { json } = await ask("/api/v1/rules/nftables");
      assert.deepEqual([json.running, json.source], [mode === "nftables", "plan"]);
      assert.deepEqual(json.problems, []);
      const [four, six] = parseRuleset(json.text).tables;
      assert.deepEqual([four.family, six.family], ["ip", "ip6"]);
      const [structure] = json.structure.families;
      assert.deepEqual([structure.family, structure.name], ["IPv4", "kube-proxy"]);
      assert.deepEqual(
        structure.chains.map(({ name, base, rules }: typeof structure.chains[0]) => [
          name,
          base?.priority,
          rules,
        ]),
        four.chains.map(({ name, base, rules }) => [name, base?.priority, rules.map(printRule)]),
      );
      const serviceIPs = structure.sets.find(({ name }: { name: string }) =>
        name === "service-ips"
      );
      assert.deepEqual([serviceIPs.kind, serviceIPs.elements.length], ["map", 4]);
      const { text } = await ask("/api/v1/rules/nftables?format=text&service=default/other");
      assert.match(text, /^\t\telements = \{ 10\.0\.1\.176 \. tcp \. 80 : goto service-\S+ \}$/m);
      assert.doesNotMatch(text, /10\.0\.1\.175/);
    });
  }
});

Deno.test("explain's steps tell the lines of nftables mode's text, in both families", async () => {
  const running = await state("nftables");
  const clusterIP = "fd00:1::176";
  await running.apply([plain("six", clusterIP)]);
  await withQueryApi(running, async (ask) => {
    const { text } = await ask("/api/v1/rules/nftables?format=text");
    const lines = text.split("\n");
    for (const [source, dest] of [["203.0.113.9", "10.0.1.175"], ["fd00:9::9", clusterIP]]) {
      const { json } = await ask(
        `/api/v1/explain?source=${source}&dest=${dest}&port=80&protocol=TCP`,
      );
      const rules = json.steps.filter(({ rule }: { rule: number | null }) => rule !== null);
      assert.ok(rules.length > 2, `${rules.length} rules for ${dest}`);
      for (const { line, text } of rules) assert.equal(lines[line - 1].trim(), text);
    }
  });
});

Deno.test("the rules of nftables mode are those of the last sync where it runs", async () => {
  const running = await state("nftables");
  const { rules } = renderTables(running.plan(), "IPv4", DEFAULT_NFTABLES_OPTIONS);
  running.node = {
    nftables: {
      rules: (family) => family === "IPv4" ? rules : null,
      read: () => Promise.reject(new Error("not asked for")),
    },
  };
  await running.apply([plain("later", "10.0.1.177")]);
  await withQueryApi(running, async (ask) => {
    const { json } = await ask("/api/v1/rules/nftables");
    assert.equal(json.source, "synced");
    assert.doesNotMatch(json.text, /10\.0\.1\.177/);
    assert.equal(json.structure.families.length, 1);
  });
});

Deno.test("rules of modes that cannot be had are 404 and say which can", async () => {
  await withQueryApi(await state("userspace"), async (ask) => {
    for (const mode of ["constructor", "__proto__", "x"]) {
      const { status, json } = await ask(`/api/v1/rules/${mode}`);
      assert.equal(status, 404);
      assert.match(json.error.message, /expected iptables or ipvs or nftables or userspace$/);
    }
    assert.equal((await ask("/api/v1/rules/iptables?format=xml")).status, 400);
    assert.equal((await ask("/api/v1/rules/iptables?family=IPv4")).status, 400);
  });
});

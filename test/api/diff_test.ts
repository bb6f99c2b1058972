import assert from "node:assert/strict";
import type { NodeRules } from "../../src/api/state.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { render } from "../../src/dataplane/iptables/render.ts";
import { renderedTables } from "../../src/explain/iptables/rendered.ts";
import { formatSave } from "../dataplane/iptables/format_save.ts";
import { pass, until } from "../until.ts";
import { withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

const VERIFY = "/api/v1/diff?verify=true";

async function proxy(mode: ProxyMode, programming = false): Promise<RealState> {
  const state = new RealState(mode, programming);
  await state.apply([...web(), plain("none", "10.0.1.176")]);
  return state;
}

/** A node that had the plan's rules programmed, and then edited. */
function programmed(state: RealState, edit: (text: string) => string): NodeRules {
  const rules = {
    IPv4: render(state.plan(), "IPv4", state.ruleOptions).rules,
    IPv6: render(state.plan(), "IPv6", state.ruleOptions).rules,
  };
  return {
    rules: (family) => rules[family],
    saved: (family) => Promise.resolve(edit(formatSave(renderedTables(rules[family])))),
  };
}

for (const mode of ["iptables", "userspace"] as const) {
  Deno.test(`verification in ${mode} mode: every frontend from everywhere, and no dispute`, async () => {
    await withQueryApi(await proxy(mode), async (ask) => {
      const { status, json } = await ask(VERIFY);
      assert.equal(status, 200);
      assert.equal(json.differences, null);
      assert.equal(json.verification.rules, mode === "iptables" ? "synced" : "plan");
      assert.deepEqual(json.verification.disputes, []);
      // web: 4 frontends from 5 origins, and the load balancer's from an admitted one; none: 1 from 4.
      assert.equal(json.verification.asked, 4 * 5 + 1 + 4);
      assert.equal(json.verification.next, null);
      assert.equal(json.verification.stable, true);
    });
  });
}

Deno.test("a rule that someone deleted is a dispute, with the packet and what each witness says", async () => {
  const state = await proxy("iptables", true);
  state.node = {
    iptables: programmed(
      state,
      (text) => text.replace(/^-A KUBE-SERVICES .*-d 10\.0\.1\.175.*$/m, ""),
    ),
    differences: () =>
      Promise.resolve([{
        where: "IPv4 nat KUBE-SERVICES",
        problem: "changed",
        found: [],
        expected: ["-d 10.0.1.175 …"],
      }]),
  };
  await withQueryApi(state, async (ask) => {
    const { json } = await ask(VERIFY);
    assert.equal(json.differences[0].where, "IPv4 nat KUBE-SERVICES");
    const { rules, disputes } = json.verification;
    assert.equal(rules, "node");
    const origins = disputes.map(({ from }: { from: string }) => from).sort();
    assert.deepEqual(origins, ["backend", "loopback", "node", "outside", "pod"]);
    for (const { packet, service, frontend, disagreements } of disputes) {
      assert.deepEqual([packet.dest, packet.port, service, frontend], [
        "10.0.1.175",
        80,
        "default/web:http",
        "ClusterIP",
      ]);
      assert.deepEqual(disagreements, [
        { field: "verdict", engine: "FORWARD", rules: "PASS", known: null },
      ]);
    }
    const synced = (await ask(`${VERIFY}&rules=synced`)).json.verification;
    assert.deepEqual(synced.disputes, []);
    assert.equal((await ask("/api/v1/diff")).json.verification, null);
  });
});

Deno.test("an edited probability and a masquerade that is gone are told apart", async () => {
  const state = await proxy("iptables", true);
  const fieldsAfter = async (edit: (text: string) => string) => {
    state.node = { iptables: programmed(state, edit) };
    let fields: string[] = [];
    await withQueryApi(state, async (ask) => {
      const { disputes } = (await ask(VERIFY)).json.verification;
      fields = disputes.flatMap((dispute: { disagreements: { field: string }[] }) =>
        dispute.disagreements.map(({ field }) => field)
      );
    });
    return [...new Set(fields)].sort();
  };
  assert.deepEqual(
    await fieldsAfter((text) => text.replaceAll("0.3333333333", "0.5000000000")),
    ["probability"],
  );
  assert.deepEqual(
    await fieldsAfter((text) => text.replaceAll(/^-A KUBE-S\S+ .*-j KUBE-MARK-MASQ$/gm, "")),
    ["masquerade"],
  );
});

Deno.test("an engine that is behind is disputed in userspace mode too", async () => {
  const state = await proxy("userspace");
  await state.apply([slice("web", ["10.180.0.1"])], { engine: false });
  await withQueryApi(state, async (ask) => {
    const { disputes } = (await ask(VERIFY)).json.verification;
    assert.ok(disputes.length > 0);
    for (const { disagreements } of disputes) assert.equal(disagreements[0].field, "backends");
  });
});

Deno.test("a verification goes on behind its cursor", async () => {
  await withQueryApi(await proxy("iptables"), async (ask) => {
    const { asked, next } = (await ask(`${VERIFY}&cursor=default/none`)).json.verification;
    assert.equal(asked, 21);
    assert.equal(next, null);
    assert.equal((await ask(`${VERIFY}&cursor=default/web`)).json.verification.asked, 0);
  });
});

Deno.test("a node that cannot be read is 503, one that is not programmed a conflict", async () => {
  const state = await proxy("iptables", true);
  await withQueryApi(state, async (ask) => {
    assert.equal((await ask(`${VERIFY}&rules=node`)).status, 409);
  });
  state.node = { differences: () => Promise.reject(new Error("xtables lock")) };
  await withQueryApi(state, async (ask) => {
    const { status, json } = await ask("/api/v1/diff");
    assert.equal(status, 503);
    assert.match(json.error.message, /xtables lock/);
    for (const query of ["verify=yes", "rules=all", "mode=ipvs"]) {
      assert.equal((await ask(`/api/v1/diff?${query}`)).status, 400);
    }
  });
});

Deno.test("one verification at a time, and one reading of the node for all who ask", async () => {
  const state = await proxy("iptables", true);
  const gate = Promise.withResolvers<void>();
  let reads = 0;
  state.node = {
    async differences() {
      reads++;
      await gate.promise;
      return [];
    },
  };
  await withQueryApi(state, async (ask) => {
    const first = ask(VERIFY);
    await until(() => reads > 0, "the node is read");
    const second = await ask(VERIFY);
    assert.equal(second.status, 429);
    assert.ok(second.headers.get("retry-after"));
    const others = [ask("/api/v1/diff"), ask("/api/v1/diff")];
    await pass(300);
    gate.resolve();
    for (const answer of [first, ...others]) assert.equal((await answer).status, 200);
    assert.equal(reads, 1);
    assert.equal((await ask(VERIFY)).status, 200);
  });
});

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../../src/dataplane/nftables/options.ts";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { render, renderChange } from "../../../src/dataplane/nftables/render.ts";
import { tablesText } from "../../../src/dataplane/nftables/structure.ts";
import { renderedTables } from "../../../src/explain/nftables/rendered_source.ts";
import { wholeTable } from "../../../src/explain/nftables/tables.ts";
import { plain, slice, web } from "../../api/real_state.ts";
import { FAMILIES } from "../../../src/net/address.ts";
import { plannerOf } from "../../dataplane/iptables/plans.ts";

/** With clients that are remembered, and chains whose names have to be cut. */
function sticky(): ClusterObject[] {
  const name = "x".repeat(63);
  const service = plain(name, "10.0.1.176") as ClusterObject & { spec: Record<string, unknown> };
  const namespace = "y".repeat(63);
  const port = { name: "z".repeat(90), protocol: "TCP", port: 80 };
  return [service, slice(name, ["10.180.0.7", "10.180.0.8"])].map((object) => ({
    ...object,
    metadata: { ...object.metadata, namespace },
    ...(object === service
      ? { spec: { ...service.spec, sessionAffinity: "ClientIP", ports: [port] } }
      : { ports: [{ ...port, port: 8080 }] }),
  } as ClusterObject));
}

/** Two Services with the same cluster IP, in both families. */
function together(): ClusterObject[] {
  return ["one", "other"].flatMap((name) => [
    plain(name, "10.0.1.177"),
    slice(name, ["10.180.0.9"]),
    plain(`${name}6`, "fd00:1::177"),
  ]);
}

Deno.test("what is rendered when asked for is what the text of all has, with its lines", () => {
  const planner = plannerOf([...web(), ...sticky(), ...together()]);
  const rules = FAMILIES.map((family) =>
    render(planner.plan, family, DEFAULT_NFTABLES_OPTIONS).rules
  );
  const { tables } = parseRuleset(tablesText(rules));
  const sources = renderedTables(rules);
  for (const [i, table] of tables.entries()) {
    const [whole, source] = [wholeTable(table), sources[i]];
    const family = FAMILIES[i];
    assert.deepEqual(source.baseChains, whole.baseChains);
    assert.deepEqual([source.family, source.name], [whole.family, whole.name]);
    for (const { name } of table.chains) assert.deepEqual(source.chain(name), whole.chain(name));
    for (const { name } of table.sets) assert.deepEqual(source.set(name), whole.set(name), name);
    if (family === "IPv4") {
      assert.ok(table.chains.some(({ name }) => name.endsWith("...")));
      assert.ok(table.sets.some(({ name }) => name.startsWith("affinity-")));
    }
    for (
      const name of ["service-AAAAAAAA-default/web/tcp/http", "service-AAAAAAAA-a/b/tcp/c", "x"]
    ) {
      assert.equal(source.chain(name), undefined);
      assert.equal(source.set(name), undefined);
    }
  }
});

Deno.test("elements of Services that changed are new, all others as they were", () => {
  const planner = plannerOf([...web(), ...sticky()]);
  const { rules } = render(planner.plan, "IPv4", DEFAULT_NFTABLES_OPTIONS);
  const keys = (of: typeof rules) => renderedTables([of])[0].set("service-ips")!.elements.length;
  assert.equal(keys(rules), 4);
  const change = planner.update([{ action: "apply", object: slice("web", []) }]);
  assert.equal(keys(renderChange(rules, change).rules), 1);
  assert.equal(keys(rules), 4);
});

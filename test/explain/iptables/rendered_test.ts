import assert from "node:assert/strict";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import { formatSave, parseSave } from "../../../src/dataplane/iptables/save_text.ts";
import { renderedTables } from "../../../src/explain/iptables/rendered.ts";
import { web } from "../../api/real_state.ts";
import { plannerOf } from "../../dataplane/iptables/plans.ts";

Deno.test("rendered tables are what their text would be read as, lines included", () => {
  const { plan } = plannerOf(web());
  for (const family of ["IPv4", "IPv6"] as const) {
    const tables = renderedTables(render(plan, family, DEFAULT_RULE_OPTIONS).rules);
    const plain = tables.map((table) => ({
      ...table,
      rules: table.rules.map(({ chain, tokens, line }) => ({ chain, tokens, line })),
    }));
    assert.deepEqual(plain, parseSave(formatSave(tables)));
  }
});

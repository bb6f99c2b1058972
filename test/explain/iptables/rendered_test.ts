import assert from "node:assert/strict";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import { joinWords, parseSave } from "../../../src/dataplane/iptables/save_text.ts";
import { RenderedRule, renderedTables } from "../../../src/explain/iptables/rendered.ts";
import { renderedSources } from "../../../src/explain/iptables/rendered_source.ts";
import { web } from "../../api/real_state.ts";
import { formatSave } from "../../dataplane/iptables/format_save.ts";
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

Deno.test("a rendered rule's text is the one that iptables-save would write", () => {
  const { plan } = plannerOf(web());
  for (const family of ["IPv4", "IPv6"] as const) {
    for (const { rules } of renderedTables(render(plan, family, DEFAULT_RULE_OPTIONS).rules)) {
      for (const rule of rules) {
        assert(rule instanceof RenderedRule);
        assert.equal(rule.text, `-A ${rule.chain} ${joinWords(rule.tokens)}`);
      }
    }
  }
});

Deno.test("a chain that is rendered when asked for has the rules and lines of all at once", () => {
  const { plan } = plannerOf(web());
  for (const family of ["IPv4", "IPv6"] as const) {
    const { rules } = render(plan, family, DEFAULT_RULE_OPTIONS);
    const sources = renderedSources(rules);
    for (const table of renderedTables(rules)) {
      const source = sources.find(({ name }) => name === table.name)!;
      // As packets get there: what rules lead to comes after them.
      const waiting = [...table.chains.keys()].filter((chain) => !chain.startsWith("KUBE-S"));
      const seen = new Set<string>();
      for (const chain of waiting) {
        if (seen.has(chain)) continue;
        seen.add(chain);
        const expected = table.rules.filter((rule) => rule.chain === chain);
        assert.equal(source.has(chain), true, chain);
        assert.equal(source.policy(chain), table.chains.get(chain)!.policy);
        assert.deepEqual(
          source.rules(chain).map(({ tokens, line }) => ({ tokens, line })),
          expected.map(({ tokens, line }) => ({ tokens, line })),
          chain,
        );
        waiting.push(
          ...expected.flatMap(({ tokens }) => tokens.filter((word) => table.chains.has(word))),
        );
      }
      assert.deepEqual(seen, new Set(table.chains.keys()));
      assert.equal(source.has("KUBE-SVC-AAAAAAAAAAAAAAAA"), false);
    }
  }
});

/**
 * The rules beside those of kube-proxy itself: fixtures/kube_proxy.json holds flags and what
 * kube-proxy's own proxier made of the objects in iptables mode's fixture, as nft lists it.
 */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../src/dataplane/nftables/rules.ts";
import { type KubeProxyCase, localDetection, objectsOf, plannerFor } from "../kube_proxy_case.ts";
import fixture from "./fixtures/kube_proxy.json" with { type: "json" };
import { sortedTable } from "./tables.ts";

interface Case extends KubeProxyCase {
  readonly options: KubeProxyCase["options"] & { readonly serviceCIDRs: readonly string[] };
  readonly text: string;
}

function ours(test: Case): Table {
  const { family, services, options: { serviceCIDRs, masqueradeBit, nodePortAddresses } } = test;
  const serviceCIDR: ClusterObject = {
    kind: "ServiceCIDR",
    metadata: { name: "kubernetes" },
    spec: { cidrs: serviceCIDRs },
  };
  const input = [...objectsOf(test), ...(serviceCIDRs.length > 0 ? [serviceCIDR] : [])];
  const { rules, problems } = render(plannerFor(test, input).plan, family, {
    masqueradeBit,
    nodePortAddresses,
    localDetection: localDetection(test),
  });
  assert.deepEqual(problems, []);
  assert.equal(rules.services.size, services.length);
  return tableOf(rules);
}

for (const test of fixture.cases as readonly Case[]) {
  Deno.test(`the table is kube-proxy's: ${test.family}, ${test.name}`, () => {
    const [theirs] = parseRuleset(test.text).tables;
    assert.deepEqual(sortedTable(ours(test)), sortedTable(theirs));
  });
}

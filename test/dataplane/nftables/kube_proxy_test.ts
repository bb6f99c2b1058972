/**
 * The rules beside those of kube-proxy itself: fixtures/kube_proxy.json holds flags and what
 * kube-proxy's own proxier made of the objects in iptables mode's fixture, as nft lists it.
 */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { LocalDetection } from "../../../src/dataplane/iptables/options.ts";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../src/dataplane/nftables/rules.ts";
import type { Family } from "../../../src/net/address.ts";
import type { DetectLocalMode } from "../../../src/plan/node.ts";
import shared from "../iptables/fixtures/kube_proxy.json" with { type: "json" };
import { plannerOf } from "../iptables/plans.ts";
import fixture from "./fixtures/kube_proxy.json" with { type: "json" };
import { sortedTable } from "./tables.ts";

interface Case {
  readonly name: string;
  readonly family: Family;
  readonly options: {
    readonly masqueradeAll: boolean;
    readonly masqueradeBit: number;
    readonly detect: string;
    readonly detectArg: string;
    readonly nodePortAddresses: readonly string[];
    readonly serviceCIDRs: readonly string[];
  };
  readonly services: readonly string[];
  readonly text: string;
}

const objects = shared.objects as unknown as Readonly<
  Record<Family, Readonly<Record<string, readonly ClusterObject[]>>>
>;

const MODES: Readonly<Record<string, DetectLocalMode>> = {
  cidr: "ClusterCIDR",
  bridge: "BridgeInterface",
  prefix: "InterfaceNamePrefix",
  none: "none",
};

function detection({ detect, detectArg }: Case["options"]): LocalDetection {
  if (detect === "bridge") return { by: "bridge", name: detectArg };
  if (detect === "prefix") return { by: "interface-prefix", prefix: detectArg };
  return { by: "network" };
}

function ours({ family, options, services }: Case): Table {
  const { masqueradeAll, masqueradeBit, detect, nodePortAddresses, serviceCIDRs } = options;
  const input: ClusterObject[] = services.flatMap((service) => objects[family][service]);
  const serviceCIDR: ClusterObject = {
    kind: "ServiceCIDR",
    metadata: { name: "kubernetes" },
    spec: { cidrs: serviceCIDRs },
  };
  const planner = plannerOf([...input, ...(serviceCIDRs.length > 0 ? [serviceCIDR] : [])], {
    families: [family],
    masqueradeAll,
    detectLocalMode: MODES[detect],
    clusterCIDRs: detect === "cidr" ? [options.detectArg] : [],
    nodePortAddresses,
  });
  const { rules, problems } = render(planner.plan, family, {
    masqueradeBit,
    nodePortAddresses,
    localDetection: detection(options),
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

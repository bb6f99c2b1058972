/**
 * The rules beside those of kube-proxy itself: fixtures/kube_proxy.json holds objects, flags and
 * what kube-proxy's own proxier gave to iptables-restore for them.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { ClusterObject, SliceEndpoint } from "../../../src/cluster/objects.ts";
import { COUNTERS, type RuleOptions } from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import { restoreText } from "../../../src/dataplane/iptables/text.ts";
import { type KubeProxyCase, localDetection, objectsOf, plannerFor } from "../kube_proxy_case.ts";
import fixture from "./fixtures/kube_proxy.json" with { type: "json" };

interface Case extends KubeProxyCase {
  /** Whether nfacct counters could be made. */
  readonly counters: boolean;
  readonly options: KubeProxyCase["options"] & {
    readonly localhostNodePorts: boolean;
    readonly tcpLiberal: boolean;
    readonly randomFully: boolean;
  };
  readonly text?: string;
  /** Instead of a text that is too long to be kept. */
  readonly sha256?: string;
}

const cases = fixture.cases as readonly Case[];

function ours(test: Case, input: readonly ClusterObject[] = objectsOf(test)) {
  const { family, options, services, counters } = test;
  const ruleOptions: RuleOptions = {
    masqueradeBit: options.masqueradeBit,
    localhostNodePorts: options.localhostNodePorts,
    nodePortAddresses: options.nodePortAddresses,
    localDetection: localDetection(test),
    randomFully: options.randomFully,
    tcpLiberal: options.tcpLiberal,
    counters: new Set(counters ? Object.values(COUNTERS) : []),
    chainNaming: "current",
  };
  const { rules, problems } = render(plannerFor(test, input).plan, family, ruleOptions);
  assert.deepEqual(problems, []);
  assert.equal(rules.services.size, services.length);
  return restoreText(rules);
}

for (const test of cases) {
  const { name, family, counters, text, services } = test;
  if (text === undefined || services.length > 1) continue;
  const suffix = counters ? "" : ", without nfacct";
  Deno.test(`the text is kube-proxy's byte for byte: ${family}, ${name}${suffix}`, () => {
    assert.equal(ours(test), text);
  });
}

/** kube-proxy visits Services in no particular order, so only the rules of each keep theirs. */
function byService(text: string) {
  const lines = text.trimEnd().split("\n");
  const nat = lines.indexOf("*nat");
  const groups = (part: readonly string[]) => {
    const chains = part.filter((line) => line.startsWith(":")).sort();
    const rules: Record<string, string[]> = {};
    for (const line of part.filter((line) => line.startsWith("-A"))) {
      const chain = line.split(" ")[1];
      const service = /KUBE-(SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL)/.test(chain)
        ? /"?(ns\/[a-z-]+(:[a-z0-9]+)?)/.exec(line)?.[1] ?? ""
        : "";
      const protocol = / -p ([a-z]+)/.exec(line)?.[1] ?? "";
      (rules[`${chain} ${service} ${service && protocol}`] ??= []).push(line);
    }
    return { chains, rules };
  };
  return { filter: groups(lines.slice(0, nat)), nat: groups(lines.slice(nat)) };
}

for (const test of cases.filter(({ name }) => name === "all")) {
  const { family, counters, text } = test;
  const suffix = counters ? "" : ", without nfacct";
  Deno.test(`every Service at once gives kube-proxy's rules: ${family}${suffix}`, () => {
    const actual = ours(test);
    assert.deepEqual(byService(actual), byService(text!));
    assert.equal(actual.length, text!.length);
    const last = actual.trimEnd().split("\n").filter((line) => line.startsWith("-A KUBE-SERVICES"));
    assert.match(last.at(-1)!, /this must be the last rule in this chain/);
  });
}

for (const test of cases.filter(({ name }) => name === "large cluster")) {
  const { family, sha256 } = test;
  Deno.test(`2050 endpoints give kube-proxy's text byte for byte: ${family}`, () => {
    const v6 = family === "IPv6";
    const endpoints = Array.from({ length: 2050 }, (_, i): SliceEndpoint => ({
      addresses: [v6 ? `fd00:180::${(i + 1).toString(16)}` : `10.180.${i >> 8}.${i & 255}`],
      nodeName: "other",
    }));
    const text = ours(test, [
      {
        kind: "Service",
        metadata: { name: "big", namespace: "ns" },
        spec: {
          type: "ClusterIP",
          clusterIP: v6 ? "fd00:10::1" : "172.30.0.1",
          ports: [{ name: "", protocol: "TCP", port: 80 }],
        },
      },
      {
        kind: "EndpointSlice",
        metadata: {
          name: "big",
          namespace: "ns",
          labels: { "kubernetes.io/service-name": "big" },
        },
        addressType: family,
        endpoints,
        ports: [{ name: "", protocol: "TCP", port: 9376 }],
      },
    ]);
    assert.equal(createHash("sha256").update(text).digest("hex"), sha256);
  });
}

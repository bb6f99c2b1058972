/**
 * Names and values that were made to break the restore text: whatever a source lets through, what
 * reaches iptables-restore is taken by it and says what was meant.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { EndpointSlice, Service } from "../../../src/cluster/objects.ts";
import { NodeRulesAccess } from "../../../src/dataplane/iptables/apply.ts";
import { FamilyRules } from "../../../src/dataplane/iptables/family.ts";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import {
  type Backend,
  programName,
  ProgramRunner,
} from "../../../src/dataplane/iptables/programs.ts";
import { findDrift } from "../../../src/dataplane/iptables/drift.ts";
import { readRules } from "../../../src/dataplane/iptables/read.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import { restoreText } from "../../../src/dataplane/iptables/text.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import type { Family } from "../../../src/net/address.ts";
import { testPlanner } from "../../dataplane/iptables/plans.ts";
import { requires } from "../../requirements.ts";
import { PATIENCE_MS } from "../../until.ts";
import { dataIn } from "./families.ts";
import { service, slice } from "./objects.ts";

const RUNS: Readonly<Record<Family, number>> = { IPv4: 60, IPv6: 30 };

/** Text that means something to iptables, a shell or a parser of lines, and any other. */
const hostile = fc.oneof(
  fc.constantFrom(
    '"',
    "'",
    "\\",
    '\\"',
    '" -j ACCEPT',
    "a\nCOMMIT\n*filter\n:INPUT DROP [0:0]\nCOMMIT",
    "\r\n-F",
    "-j",
    "--comment",
    "-A KUBE-SERVICES -j ACCEPT",
    "! -s 0.0.0.0/0",
    "$(touch /tmp/hostile)",
    "`id`;id|id&",
    "#",
    "*nat",
    ":KUBE-SERVICES - [0:0]",
    "COMMIT",
    "",
    " ",
    "\t",
    "\0",
    "\u2028",
    "\ud800",
    "é".repeat(300),
    "x".repeat(5000),
    '"'.repeat(300),
    "\\".repeat(255),
  ),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: fc.constantFrom(..."\"'\\ -!\n\t#:*a"), maxLength: 40 }),
);

const number = fc.oneof(
  fc.constantFrom(0, -1, 65536, 1.5, NaN, Infinity, 2 ** 32, 1e21),
  fc.integer({ min: 1, max: 65535 }),
);
const address = fc.oneof(
  fc.constantFrom("10.0.0.1 -j ACCEPT", "0.0.0.0/0", "::1", "10.0.0.1\n", "-s", "010.0.0.1", ""),
  fc.ipV4(),
  hostile,
);

/** Seldom another value than a harmless one, so that most Services are not left out. */
function seldom<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary },
  );
}

/** What a Service and its slice say; where undefined, something harmless. */
const values = fc.record({
  namespace: hostile,
  name: hostile,
  portName: hostile,
  protocol: seldom(fc.constantFrom("TCP", "UDP", "SCTP", "tcp -j ACCEPT", "")),
  port: seldom(number),
  nodePort: seldom(number),
  healthCheckNodePort: seldom(number),
  clusterIP: seldom(address),
  externalIP: seldom(address),
  balancerIP: seldom(address),
  range: seldom(fc.oneof(
    address,
    fc.constantFrom("10.0.0.0/8", "10.0.0.0/8 -j ACCEPT", "0.0.0.0/0/0"),
  )),
  seconds: seldom(number),
  endpoint: seldom(address),
  nodeName: seldom(hostile),
});

type Values = typeof values extends fc.Arbitrary<infer T> ? T : never;

function objects(given: Values): (Service | EndpointSlice)[] {
  const plain = service(given.name ?? "hostile", given.clusterIP ?? "172.30.9.9");
  const namespace = given.namespace ?? "hostile";
  const name = given.portName ?? "main";
  const protocol = (given.protocol ?? "TCP") as "TCP";
  const endpoints = slice(plain.metadata.name, [given.endpoint ?? "10.180.0.9"]);
  return [
    {
      ...plain,
      metadata: { ...plain.metadata, namespace },
      spec: {
        ...plain.spec,
        type: "LoadBalancer",
        ports: [{ name, protocol, port: given.port ?? 80, nodePort: given.nodePort ?? 30999 }],
        externalIPs: [given.externalIP ?? "192.0.2.9"],
        loadBalancerSourceRanges: [given.range ?? "203.0.113.0/24"],
        sessionAffinity: "ClientIP",
        sessionAffinityConfig: { clientIP: { timeoutSeconds: given.seconds ?? 60 } },
        externalTrafficPolicy: "Local",
        healthCheckNodePort: given.healthCheckNodePort ?? 30998,
      },
      status: { loadBalancer: { ingress: [{ ip: given.balancerIP ?? "192.0.2.10" }] } },
    },
    {
      ...endpoints,
      metadata: { ...endpoints.metadata, namespace },
      endpoints: endpoints.endpoints.map((one) => ({ ...one, nodeName: given.nodeName ?? "x" })),
      ports: [{ name, protocol, port: given.port ?? 80 }],
    },
  ];
}

const HARMLESS = [service("web", "172.30.0.1"), slice("web", ["10.180.0.1"])];

/** A planner's plan for harmless objects and these. */
function planOf(given: Values, family: Family) {
  const planner = testPlanner({ families: [family] });
  const all = dataIn(family, [...HARMLESS, ...objects(given)]);
  planner.update(all.map((object) => ({ action: "apply", object })));
  return planner.plan;
}

/** Where a test is. */
interface Place {
  readonly runner: ProgramRunner;
  readonly backend: Backend;
  readonly family: Family;
}

function hostileTest(name: string, fn: (place: Place) => Promise<void>): void {
  for (const family of ["IPv4", "IPv6"] as const) {
    for (const backend of ["nft", "legacy"] as const) {
      const program = programName({ suffix: `-${backend}` }, family, "");
      Deno.test({
        ...requires(`${program}: ${name}`, "root", "netns", program, `${program}-restore`),
        async fn() {
          using namespace = NetworkNamespace.create();
          await fn({ runner: new ProgramRunner(namespace, PATIENCE_MS), backend, family });
        },
      });
    }
  }
}

hostileTest("hostile values never break the restore text", async ({ runner, backend, family }) => {
  // Of some that are the same each time, as chance may leave out all of the others.
  const samples = fc.sample(values, { seed: 1, numRuns: 100 });
  const rendered = samples.filter((given) =>
    render(planOf(given, family), family, DEFAULT_RULE_OPTIONS).rules.services.size > 1
  );
  assert.ok(rendered.length > 20, `only ${rendered.length} are rendered at all`);
  await fc.assert(
    fc.asyncProperty(values, async (given) => {
      const { rules } = render(planOf(given, family), family, DEFAULT_RULE_OPTIONS);
      assert.ok(rules.services.has("test/web"), "the harmless Service is left out");
      const text = restoreText(rules);
      // Nothing of a name begins a line.
      for (const line of text.split("\n")) {
        assert.match(
          line,
          /^(\*(filter|nat)|:KUBE-\S+ - \[0:0\]|-A (KUBE-)?[A-Z\d-]+ [^]+|COMMIT|)$/,
        );
      }
      const program = programName({ suffix: `-${backend}` }, family, "-restore");
      const result = await runner.run(program, ["--test", "--noflush"], text);
      assert.equal(result.code, 0, `${result.stderr}\n${text}`);
    }),
    { numRuns: RUNS[family] },
  );
});

hostileTest(
  "hostile values are read back as what was written",
  async ({ runner, backend, family }) => {
    const access = new NodeRulesAccess(runner, { backend, suffix: `-${backend}`, version: [1, 8] });
    await fc.assert(
      fc.asyncProperty(values, async (given) => {
        const rules = new FamilyRules(family, access);
        const { drift, problems } = await rules.syncAll(
          planOf(given, family),
          DEFAULT_RULE_OPTIONS,
        );
        assert.deepEqual(drift, []);
        assert.ok(problems.every(({ message }) => !message.includes("\n")));
        const text = await access.read(family);
        assert.deepEqual(findDrift(readRules(text, family), rules.rules!), []);
        // What leads elsewhere is only what we made.
        assert.doesNotMatch(text, /^:(INPUT|FORWARD|OUTPUT) DROP/m);
      }),
      { numRuns: RUNS[family] },
    );
  },
);

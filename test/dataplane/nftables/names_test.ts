import assert from "node:assert/strict";
import { endpointNames, serviceChains } from "../../../src/dataplane/nftables/names.ts";

const HTTP = {
  namespace: "testing",
  service: "service",
  portName: "http",
  protocol: "TCP",
} as const;

const LONG = {
  namespace: "very-long-namespace-name-abcdefghijklmnopqrstuvwxyz0123456789xx",
  service: "very-long-service-name-why-would-you-even-do-this-i-mean-really",
  portName: "port-443-providing-the-hypertext-transmission-protocol-with-tls",
  protocol: "SCTP",
} as const;
const LONG_PATH = `${LONG.namespace}/${LONG.service}/sctp/${LONG.portName}`;

Deno.test("chains of a Service port are named as kube-proxy names them", () => {
  assert.deepEqual(serviceChains(HTTP), {
    cluster: "service-P4ZYZVCF-testing/service/tcp/http",
    local: "local-P4ZYZVCF-testing/service/tcp/http",
    external: "external-P4ZYZVCF-testing/service/tcp/http",
    firewall: "firewall-P4ZYZVCF-testing/service/tcp/http",
  });
  assert.equal(
    serviceChains({ ...HTTP, portName: "https" }).cluster,
    "service-LZBRENCP-testing/service/tcp/https",
  );
  assert.equal(
    serviceChains({ namespace: "ns1", service: "svc1", portName: "p80", protocol: "TCP" }).cluster,
    "service-ULMVA6XW-ns1/svc1/tcp/p80",
  );
  assert.equal(serviceChains(LONG).external, `external-KR6NACJP-${LONG_PATH}`);
});

Deno.test("an unnamed port leaves its part of the name empty", () => {
  const { cluster } = serviceChains({ ...HTTP, portName: "" });
  assert.match(cluster, /^service-[A-Z2-7]{8}-testing\/service\/tcp\/$/);
});

const ENDPOINTS: [
  port: typeof HTTP | typeof LONG,
  address: string,
  number: number,
  base: string,
][] = [
  [HTTP, "10.180.0.1", 80, "JO2XBXZR-testing/service/tcp/http__10.180.0.1/80"],
  [HTTP, "10.180.0.2", 80, "5S6H3H22-testing/service/tcp/http__10.180.0.2/80"],
  [
    HTTP,
    "fd80:abcd:12::a1b2:c3d4:e5f6:9999",
    80,
    "U7E2ET36-testing/service/tcp/http__fd80.abcd.12..a1b2.c3d4.e5f6.9999/80",
  ],
  [
    LONG,
    "1234:5678:9abc:def0::abc:1234",
    443,
    `5YS7AFEA-${LONG_PATH}__1234.5678.9abc.def0..abc.1234/443`,
  ],
  // Too long: what is cut off is told by the hash alone.
  [
    LONG,
    "1234:5678:9abc:def0::abcd:1234:5678",
    443,
    `CI6C53Q3-${LONG_PATH}__1234.5678.9abc.def0..abcd.1234...`,
  ],
  [
    LONG,
    "1234:5678:9abc:def0::abcd:1234:8765",
    443,
    `2FLXFK6X-${LONG_PATH}__1234.5678.9abc.def0..abcd.1234...`,
  ],
];

for (const [port, address, number, base] of ENDPOINTS) {
  Deno.test(`an endpoint at ${address} is named as kube-proxy names it`, () => {
    const { chain, affinity } = endpointNames(port, { address, port: number });
    assert.equal(chain, `endpoint-${base}`);
    assert.equal(affinity, `affinity-${base}`);
    assert.ok(affinity.length < 256);
  });
}

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { chainHash, isHashedChain, serviceChains } from "../../../src/dataplane/iptables/names.ts";

Deno.test("chains of an unnamed port have the names of Kubernetes' documentation", () => {
  const chains = serviceChains({
    namespace: "default",
    service: "hostnames",
    portName: "",
    protocol: "TCP",
  }, "documented");
  assert.equal(chains.cluster, "KUBE-SVC-NWV5X2332I4OT4T3");
  assert.equal(chains.local, "KUBE-SVL-NWV5X2332I4OT4T3");
  assert.equal(chains.external, "KUBE-EXT-NWV5X2332I4OT4T3");
  assert.equal(chains.firewall, "KUBE-FW-NWV5X2332I4OT4T3");
  assert.deepEqual(
    ["10.244.3.6", "10.244.1.7", "10.244.2.3"].map((address) =>
      chains.endpoint({ address, port: 9376 })
    ),
    ["KUBE-SEP-57KPRZ3JQVENLNBR", "KUBE-SEP-WNBA2IHDGP2BOBGZ", "KUBE-SEP-X3P2623AGDH6CDF3"],
  );
});

Deno.test("chains of a named port have the names that every kube-proxy gives them", () => {
  const port = { namespace: "ns1", service: "svc1", portName: "p80", protocol: "TCP" } as const;
  for (const naming of ["documented", "current"] as const) {
    const chains = serviceChains(port, naming);
    assert.equal(chains.cluster, "KUBE-SVC-XPGD46QRK7WJZT7O");
    assert.equal(
      chains.endpoint({ address: "10.180.0.1", port: 80 }),
      "KUBE-SEP-SXIVWICOYRO3J4NJ",
    );
  }
});

Deno.test("a hash is the beginning of the base32 of the SHA-256", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    const bits = [...createHash("sha256").update(text).digest()]
      .map((byte) => byte.toString(2).padStart(8, "0")).join("");
    const expected = Array.from(
      { length: 16 },
      (_, i) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[parseInt(bits.slice(5 * i, 5 * i + 5), 2)],
    );
    assert.equal(chainHash(text), expected.join(""));
  }));
});

Deno.test("only names with a Service's prefix are those of Services", () => {
  assert.ok(isHashedChain("KUBE-SEP-57KPRZ3JQVENLNBR"));
  for (const name of ["KUBE-SERVICES", "KUBE-NODEPORTS", "CNI-SVC-A", "kube-svc-A"]) {
    assert.ok(!isHashedChain(name), name);
  }
});

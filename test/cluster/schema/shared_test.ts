import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeObject } from "../../../src/cluster/schema/object.ts";
import { sharedJson } from "../../../src/cluster/schema/shared.ts";

Deno.test("what is shared is equal to what was given, and one object for all that are equal", () => {
  const share = sharedJson<unknown[]>();
  const value = fc.array(
    fc.record({ name: fc.constantFrom("a", "undefined", undefined), port: fc.nat(3) }, {
      requiredKeys: [],
    }),
    { maxLength: 3 },
  );
  fc.assert(fc.property(value, (given) => {
    const plain = JSON.parse(JSON.stringify(given));
    const one = share(plain);
    assert.deepEqual(one, plain);
    assert.equal(share(structuredClone(plain)), one);
  }));
});

Deno.test("what is large, or one too many, is not shared but right", () => {
  const share = sharedJson<number[]>();
  const large = Array.from({ length: 1000 }, (_, i) => i);
  assert.equal(share(large), large);
  assert.notEqual(share([...large]), large);
  const first = share([-1]);
  for (let i = 0; i < 25_000; i++) assert.deepEqual(share([i]), [i]);
  assert.deepEqual(share([-1]), first);
});

Deno.test("slices with equal ports and conditions share them, but no endpoints", () => {
  const slice = (name: string) => {
    const decoded = decodeObject({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name },
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true } }],
      ports: [{ name: "http", port: 80 }],
    });
    assert(decoded.outcome === "object" && decoded.object.kind === "EndpointSlice");
    return decoded.object;
  };
  const [one, other] = [slice("a"), slice("b")];
  assert.equal(one.ports, other.ports);
  assert.equal(one.endpoints[0].conditions, other.endpoints[0].conditions);
  assert.notEqual(one.endpoints[0], other.endpoints[0]);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import type { EndpointSlice, SliceEndpoint } from "../../../src/cluster/objects.ts";
import { PackedSlice } from "../../../src/cluster/kubernetes/packed_slice.ts";

const name = fc.constantFrom("a", "b", "default", "Pod", "undefined", "");
const names = fc.array(fc.record({ name }), { maxLength: 2 });
const flag = fc.boolean();

/** Endpoints with any fields missing. */
const endpoint: fc.Arbitrary<SliceEndpoint> = fc.record({
  addresses: fc.array(fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1"), { maxLength: 3 }),
  conditions: fc.record({ ready: flag, serving: flag, terminating: flag }, { requiredKeys: [] }),
  hostname: name,
  nodeName: name,
  zone: name,
  targetRef: fc.record({ kind: name, namespace: name, name }, { requiredKeys: [] }),
  hints: fc.record({ forZones: names, forNodes: names }, { requiredKeys: [] }),
}, { requiredKeys: ["addresses"] });

const slice: fc.Arbitrary<EndpointSlice> = fc.record({
  kind: fc.constant("EndpointSlice" as const),
  metadata: fc.record({ name, namespace: name }),
  addressType: fc.constantFrom("IPv4" as const, "IPv6" as const, "FQDN" as const),
  endpoints: fc.array(endpoint, { maxLength: 5 }),
  ports: fc.array(fc.record({ port: fc.nat() }), { maxLength: 2 }),
});

Deno.test("a packed slice is the slice that was packed", () => {
  fc.assert(
    fc.property(slice.map((one) => structuredClone(one)), (given) => {
      const { kind, metadata, addressType, endpoints, ports } = new PackedSlice(given);
      assert.deepEqual({ kind, metadata, addressType, endpoints, ports }, given);
    }),
    { numRuns: 500 },
  );
});

import assert from "node:assert/strict";
import { FAMILIES } from "../../src/net/address.ts";
import { describeSlice, serviceOfSlice } from "../../src/services/slices.ts";
import { slice } from "./objects.ts";

Deno.test("absent conditions mean ready, serving and not terminating", () => {
  const states = [
    [undefined, [true, true, false]],
    [{}, [true, true, false]],
    [{ ready: false }, [false, true, false]],
    [{ ready: false, serving: false }, [false, false, false]],
    [{ ready: false, serving: true, terminating: true }, [false, true, true]],
    [{ terminating: false }, [true, true, false]],
  ] as const;
  for (const [conditions, expected] of states) {
    const info = describeSlice(slice("web", [{ addresses: ["10.0.0.1"], conditions }]), FAMILIES)!;
    const { ready, serving, terminating } = info.endpoints[0];
    assert.deepEqual([ready, serving, terminating], expected, JSON.stringify(conditions));
  }
});

Deno.test("the first address counts, in canonical form and of the slice's family", () => {
  const info = describeSlice(
    slice("web", [
      { addresses: ["10.000.0.01", "10.0.0.99"] },
      { addresses: [] },
      { addresses: ["fd00::1"] },
      { addresses: ["pod.example.org"] },
    ]),
    FAMILIES,
  )!;
  assert.deepEqual(info.endpoints.map(({ address }) => address), ["10.0.0.1"]);
});

Deno.test("a port without name or protocol has the API's defaults, one without number is none", () => {
  const info = describeSlice(
    slice("web", [], {
      ports: [{ port: 1 }, { name: "a" }, { name: "b", port: 0 }, {
        name: "c",
        port: 2,
        protocol: "UDP",
      }],
    }),
    FAMILIES,
  )!;
  assert.deepEqual(info.ports, [
    { name: "", protocol: "TCP", port: 1 },
    { name: "c", protocol: "UDP", port: 2 },
  ]);
});

Deno.test("slices of names, and of families that are not proxied, are none", () => {
  assert.equal(describeSlice(slice("web", [], { addressType: "FQDN" }), FAMILIES), null);
  assert.equal(describeSlice(slice("web", [], { addressType: "IPv6" }), ["IPv4"]), null);
  assert.notEqual(describeSlice(slice("web", [], { addressType: "IPv6" }), ["IPv6"]), null);
});

Deno.test("a slice belongs to the Service in its label, in its own namespace", () => {
  assert.equal(serviceOfSlice(slice("web", [], { namespace: "prod" })), "prod/web");
  assert.equal(serviceOfSlice(slice("", [])), null);
  const unlabelled = slice("web", []);
  const { namespace, name } = unlabelled.metadata;
  assert.equal(serviceOfSlice({ ...unlabelled, metadata: { namespace, name } }), null);
});

Deno.test("a pod is named in the slice's namespace unless it says otherwise", () => {
  const pod = (targetRef: { kind?: string; namespace?: string; name?: string }) =>
    describeSlice(
      slice("web", [{ addresses: ["10.0.0.1"], targetRef }], { namespace: "prod" }),
      FAMILIES,
    )!.endpoints[0].pod;
  assert.equal(pod({ kind: "Pod", name: "web-0" }), "prod/web-0");
  assert.equal(pod({ kind: "Pod", namespace: "other", name: "web-0" }), "other/web-0");
  assert.equal(pod({ kind: "VirtualMachine", name: "web-0" }), undefined);
});

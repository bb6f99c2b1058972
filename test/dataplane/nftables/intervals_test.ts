import assert from "node:assert/strict";
import fc from "fast-check";
import { networksValue } from "../../../src/dataplane/nftables/intervals.ts";
import type { Value } from "../../../src/dataplane/nftables/language/ast.ts";
import { addressBytes, parseNetwork } from "../../../src/net/address.ts";

const asNumber = (address: string) =>
  addressBytes(address).reduce((value, byte) => value << 8n | BigInt(byte), 0n);

/** First and last address of a value that is none or several of these. */
function bounds(value: Value): [bigint, bigint] {
  switch (value.kind) {
    case "address":
      return [asNumber(value.text), asNumber(value.text)];
    case "network": {
      const network = parseNetwork(`${value.address}/${value.prefix}`)!;
      assert.equal(network.address, value.address);
      const from = asNumber(value.address);
      return [from, from + (1n << BigInt(network.bytes.length * 8 - value.prefix)) - 1n];
    }
    case "range":
      return [bounds(value.from)[0], bounds(value.to)[1]];
    default:
      throw new Error(`unexpected ${value.kind}`);
  }
}

const valuesOf = (value: Value) =>
  value.kind === "set" ? value.elements.map(({ key }) => key) : [value];

Deno.test("one network is a value, several are a set", () => {
  assert.deepEqual(networksValue(["10.0.0.0/8"]), {
    kind: "network",
    address: "10.0.0.0",
    prefix: 8,
  });
  assert.deepEqual(networksValue(["10.0.0.1/32"]), { kind: "address", text: "10.0.0.1" });
  assert.deepEqual(networksValue(["::/0"]), { kind: "network", address: "::", prefix: 0 });
  assert.deepEqual(
    valuesOf(networksValue(["203.0.113.0/24", "10.0.0.0/8"])),
    [
      { kind: "network", address: "10.0.0.0", prefix: 8 },
      { kind: "network", address: "203.0.113.0", prefix: 24 },
    ],
  );
});

Deno.test("networks that adjoin or overlap are one, as the kernel has them", () => {
  assert.deepEqual(networksValue(["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]), {
    kind: "range",
    from: { kind: "address", text: "10.0.0.0" },
    to: { kind: "address", text: "10.0.2.255" },
  });
  assert.deepEqual(networksValue(["fd00::1/128", "fd00::/64", "fd00::2/128"]), {
    kind: "network",
    address: "fd00::",
    prefix: 64,
  });
  assert.deepEqual(networksValue(["1.2.3.4/32", "1.2.3.5/32"]), {
    kind: "network",
    address: "1.2.3.4",
    prefix: 31,
  });
});

Deno.test("what is no network is refused", () => {
  assert.throws(() => networksValue([]), /one at least/);
  assert.throws(() => networksValue(["10.0.0.0/40"]), /not a network: "10.0.0.0\/40"/);
});

Deno.test("the same addresses are in it as in the networks", () => {
  const octet = fc.constantFrom(0, 1, 2, 127, 128, 254, 255);
  const network = fc.tuple(octet, octet, octet, octet, fc.integer({ min: 0, max: 32 }))
    .map(([a, b, c, d, prefix]) => `${a}.${b}.${c}.${d}/${prefix}`);
  fc.assert(fc.property(fc.array(network, { minLength: 1, maxLength: 8 }), (networks) => {
    const merged = valuesOf(networksValue(networks)).map(bounds);
    for (let i = 1; i < merged.length; i++) assert.ok(merged[i][0] > merged[i - 1][1] + 1n);
    const given = networks.map((text) => {
      const { address, prefix } = parseNetwork(text)!;
      return bounds({ kind: "network", address, prefix });
    });
    const isIn = (all: readonly [bigint, bigint][], at: bigint) =>
      all.some(([from, to]) => from <= at && at <= to);
    for (const [from, to] of [...given, ...merged]) {
      for (const at of [from - 1n, from, to, to + 1n]) {
        assert.equal(isIn(merged, at), isIn(given, at));
      }
    }
  }));
});

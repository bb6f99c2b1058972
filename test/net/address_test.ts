import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addressBytes,
  formatAddress,
  formatNetwork,
  formatSocketAddress,
  networkContains,
  parseAddress,
  parseNetwork,
} from "../../src/net/address.ts";

Deno.test("parseAddress canonicalises what kube-proxy accepts", () => {
  const cases: [string, string | null][] = [
    ["10.0.1.175", "10.0.1.175"],
    ["172.30.0.041", "172.30.0.41"],
    ["010.1.1.1", "10.1.1.1"],
    ["fd00:0:0::1", "fd00::1"],
    ["FD00::A", "fd00::a"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"],
    ["::", "::"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["", null],
    ["1", null],
    ["10.0.0", null],
    ["10.0.0.256", null],
    ["10.0.0.1/32", null],
    ["10.0.0.1 ", null],
    ["10.0.0.-1", null],
    ["fe80::1%eth0", null],
    ["fd00::1::2", null],
    ["fd00::12345", null],
    ["host", null],
  ];
  for (const [text, canonical] of cases) assert.equal(parseAddress(text), canonical, text);
});

Deno.test("addresses survive the way to bytes and back", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
      .map((list) => Uint8Array.from(list)),
  );
  fc.assert(fc.property(bytes, (address) => {
    const text = formatAddress(address);
    assert.equal(parseAddress(text), text);
    const back = addressBytes(text);
    assert.equal(formatAddress(back), text);
    if (back.length === address.length) assert.deepEqual(back, address);
  }));
});

Deno.test("addressBytes refuses what is no address", () => {
  assert.throws(() => addressBytes("10.0.0"), /not an IP address: "10.0.0"/);
  assert.throws(() => addressBytes("x::y"), /not an IP address/);
});

Deno.test("networks are read sloppily, with host bits cleared", () => {
  const cases: [string, string | null][] = [
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["203.0.113.000/025", "203.0.113.0/25"],
    ["10.0.0.1", "10.0.0.1/32"],
    ["fd00::1/64", "fd00::/64"],
    ["fd00::1", "fd00::1/128"],
    ["::/0", "::/0"],
    ["10.0.0.0/33", null],
    ["10.0.0.0/", null],
    ["10.0.0.0/8/8", null],
    ["fd00::/129", null],
    ["10.0.0.0/-1", null],
  ];
  for (const [text, expected] of cases) {
    const network = parseNetwork(text);
    assert.equal(network && formatNetwork(network), expected, text);
  }
});

Deno.test("networkContains agrees with arithmetic on whole addresses", () => {
  const ipv4 = fc.nat(0xffffffff);
  fc.assert(fc.property(ipv4, ipv4, fc.nat(32), (base, other, prefix) => {
    const text = (n: number) => formatAddress(new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]));
    const network = parseNetwork(`${text(base)}/${prefix}`)!;
    const size = 2 ** (32 - prefix);
    const inside = Math.floor(base / size) === Math.floor(other / size);
    assert.equal(networkContains(network, text(other)), inside);
  }));
  assert.equal(networkContains(parseNetwork("::/0")!, "10.0.0.1"), false);
  assert.equal(networkContains(parseNetwork("fd00::/7")!, "fc00::1"), true);
});

Deno.test("formatSocketAddress puts IPv6 into brackets", () => {
  assert.equal(formatSocketAddress("10.0.0.1", 80), "10.0.0.1:80");
  assert.equal(formatSocketAddress("fd00::1", 80), "[fd00::1]:80");
});

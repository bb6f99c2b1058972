import assert from "node:assert/strict";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import {
  entryText,
  Ipset,
  type ListedEntry,
  type SetEntry,
  type SetSpec,
  type SetType,
} from "../../../src/netlink/netfilter/ipset.ts";
import { requires } from "../../requirements.ts";

/** The sets of a new namespace. */
function isolated(): Ipset {
  using namespace = NetworkNamespace.create();
  return namespace.run(() => Ipset.open());
}

function texts(entries: readonly ListedEntry[] | undefined): string[] {
  return (entries ?? []).map(entryText).sort();
}

/** For each type and family: entries, and how the kernel lists them. */
const CASES: readonly (readonly [SetSpec, readonly SetEntry[], readonly string[]])[] = [
  [
    { name: "ip", type: "hash:ip" },
    [{ address: "192.0.2.1" }, { address: "198.51.100.0", prefix: 30 }],
    ["192.0.2.1", "198.51.100.0", "198.51.100.1", "198.51.100.2", "198.51.100.3"],
  ],
  [{ name: "ip6", type: "hash:ip", family: "IPv6" }, [{ address: "2001:db8::1" }], [
    "2001:db8::1",
  ]],
  [
    { name: "ip,port", type: "hash:ip,port", hashSize: 256, maxElements: 1000 },
    [
      { address: "10.96.0.1", port: 443, protocol: 6 },
      { address: "10.96.0.10", port: 53, protocol: 17 },
      { address: "10.96.0.11", port: 100, toPort: 102, protocol: 132 },
    ],
    [
      "10.96.0.1,tcp:443",
      "10.96.0.10,udp:53",
      "10.96.0.11,sctp:100",
      "10.96.0.11,sctp:101",
      "10.96.0.11,sctp:102",
    ],
  ],
  [
    { name: "ip,port6", type: "hash:ip,port", family: "IPv6" },
    [{ address: "2001:db8::1", port: 443, protocol: 6 }],
    ["2001:db8::1,tcp:443"],
  ],
  [
    { name: "ip,port,ip", type: "hash:ip,port,ip" },
    [{ address: "10.1.0.1", port: 80, protocol: 6, address2: "10.1.0.1" }],
    ["10.1.0.1,tcp:80,10.1.0.1"],
  ],
  [
    { name: "ip,port,net6", type: "hash:ip,port,net", family: "IPv6" },
    [{ address: "2001:db8::1", port: 80, protocol: 6, address2: "2001:db8:1::", prefix2: 48 }],
    ["2001:db8::1,tcp:80,2001:db8:1::/48"],
  ],
  [
    { name: "ip,port,net", type: "hash:ip,port,net" },
    [
      { address: "203.0.113.1", port: 80, protocol: 6, address2: "192.0.2.0", prefix2: 24 },
      {
        address: "203.0.113.1",
        port: 80,
        protocol: 6,
        address2: "192.0.2.128",
        prefix2: 25,
        nomatch: true,
      },
    ],
    ["203.0.113.1,tcp:80,192.0.2.0/24", "203.0.113.1,tcp:80,192.0.2.128/25"],
  ],
  [
    { name: "port", type: "bitmap:port", ports: { from: 30000, to: 32767 } },
    [{ port: 30007 }, { port: 31000, toPort: 31001 }],
    ["30007", "31000", "31001"],
  ],
];

Deno.test({
  ...requires("ipset: every type of set is read back as it was made", "root", "netns", "ip_set"),
  fn() {
    using ipset = isolated();
    assert(ipset.protocol === 6 || ipset.protocol === 7);
    for (const [spec, entries, expected] of CASES) {
      ipset.create(spec);
      ipset.add(spec.name, spec.type, entries);
      const [set] = ipset.list(spec.name);
      assert.deepEqual([set.name, set.type, set.ports], [spec.name, spec.type, spec.ports]);
      assert.equal(set.family, spec.type === "bitmap:port" ? undefined : spec.family ?? "IPv4");
      if (spec.hashSize !== undefined) assert.equal(set.hashSize, spec.hashSize);
      if (spec.maxElements !== undefined) assert.equal(set.maxElements, spec.maxElements);
      assert.deepEqual(texts(set.entries), [...expected].sort(), spec.name);
      assert.equal(set.references, 0);
      for (const entry of entries) assert.equal(ipset.test(spec.name, spec.type, entry), true);
    }
    assert.deepEqual(ipset.names().sort(), CASES.map(([{ name }]) => name).sort());
    assert.deepEqual(
      ipset.headers().map(({ name, entries, size }) => [name, entries.length, size]).sort(),
      CASES.map(([{ name }, _, expected]) => [name, 0, expected.length]).sort(),
    );
    const nomatch = ipset.list("ip,port,net")[0].entries.map((entry) => entry.nomatch ?? false);
    assert.deepEqual(nomatch.sort(), [false, true]);
    const port = { address: "203.0.113.1", port: 80, protocol: 6 };
    const inside = (address2: string) =>
      ipset.test("ip,port,net", "hash:ip,port,net", { ...port, address2 });
    assert.deepEqual([inside("192.0.2.1"), inside("192.0.2.200"), inside("192.0.3.1")], [
      true,
      false,
      false,
    ]);
  },
});

Deno.test({
  ...requires("ipset: time-outs, counters and comments", "root", "netns", "ip_set"),
  fn() {
    using ipset = isolated();
    ipset.create({ name: "s", type: "hash:ip", timeout: 600, counters: true, comments: true });
    ipset.add("s", "hash:ip", [
      { address: "192.0.2.1", comment: "über die Brücke" },
      { address: "192.0.2.2", timeout: 0 },
    ]);
    const [{ timeout, counters, comments, entries }] = ipset.list("s");
    assert.deepEqual([timeout, counters, comments], [600, true, true]);
    const [first, second] = [...entries].sort((a, b) => entryText(a) < entryText(b) ? -1 : 1);
    assert.equal(first.comment, "über die Brücke");
    assert(first.timeout !== undefined && first.timeout > 590 && first.timeout <= 600);
    assert.deepEqual(first.counters, { packets: 0n, bytes: 0n });
    assert.equal(second.timeout, 0);
  },
});

Deno.test({
  ...requires("ipset: each refused entry is named, the others are in", "root", "netns", "ip_set"),
  fn() {
    using ipset = isolated();
    const type: SetType = "hash:ip,port";
    ipset.create({ name: "s", type, maxElements: 2000 });
    ipset.create({ name: "t", type, maxElements: 5 });
    // More than one message; every fifth repeats the one before.
    const entries = Array.from({ length: 1200 }, (_, i): SetEntry => {
      const n = i % 5 === 4 ? i - 1 : i;
      return { address: `10.0.${n >> 8}.${n & 255}`, port: 80, protocol: 6 };
    });
    const refusals = ipset.change([
      { set: "s", type, verb: "add", entries },
      { set: "t", type, verb: "add", entries: entries.slice(5, 14) },
      { set: "missing", type, verb: "add", entries: entries.slice(0, 3) },
      { set: "s", type, verb: "add", entries: [{ address: "2001:db8::1", port: 1, protocol: 6 }] },
    ]);
    const from = (set: string) => refusals.filter(({ change }) => change.set === set);
    const repeats = from("s").filter(({ error }) => error.code === "IPSET_ERR_EXIST");
    assert.equal(repeats.length, 240);
    assert.deepEqual(
      repeats.map(({ entry }) => entry).sort(byText),
      entries.filter((_, i) => i % 5 === 4).sort(byText),
    );
    assert.equal(
      repeats.find(({ entry }) => entry?.address === "10.0.0.3")?.error.message,
      "add 10.0.0.3,tcp:80 to the set s: IPSET_ERR_EXIST " +
        "(the entry is there already, or is not there)",
    );
    assert.equal(ipset.list("s")[0].entries.length, 960);
    assert(from("t").some(({ error }) => error.code === "IPSET_ERR_HASH_FULL"));
    assert.equal(ipset.list("t")[0].entries.length, 5);
    assert.deepEqual(from("missing").map(({ entry, error }) => [entry, error.code]), [
      [null, "ENOENT"],
    ]);
    const wrong = from("s").filter(({ error }) => error.code !== "IPSET_ERR_EXIST");
    assert.deepEqual(wrong.map(({ error }) => error.code), ["IPSET_ERR_PROTOCOL"]);

    const again = { set: "s", type, verb: "add", entries, exist: true } as const;
    assert.deepEqual(ipset.change([again]), []);
    assert.deepEqual(ipset.change([{ ...again, verb: "remove" }]), []);
    assert.equal(ipset.list("s")[0].entries.length, 0);
  },
});

function byText(a: SetEntry | null, b: SetEntry | null): number {
  return entryText(a ?? {}) < entryText(b ?? {}) ? -1 : 1;
}

Deno.test({
  ...requires("ipset: many entries come in several messages", "root", "netns", "ip_set"),
  fn() {
    using ipset = isolated();
    const ports = Array.from({ length: 20000 }, (_, port): SetEntry => ({ port }));
    ipset.create({ name: "before", type: "hash:ip" });
    ipset.create({ name: "ports", type: "bitmap:port" });
    ipset.add("ports", "bitmap:port", ports);
    const sets = ipset.list();
    assert.deepEqual(sets.map(({ name, entries }) => [name, entries.length]).sort(), [
      ["before", 0],
      ["ports", 20000],
    ]);
    const listed = sets.flatMap(({ entries }) => entries).map((entry) => entry.port ?? -1);
    assert.deepEqual(listed.sort((a, b) => a - b), ports.map((entry) => entry.port));
  },
});

Deno.test({
  ...requires("ipset: swapped, renamed, flushed, destroyed", "root", "netns", "ip_set"),
  fn() {
    using ipset = isolated();
    const type: SetType = "hash:ip";
    ipset.create({ name: "a", type });
    ipset.create({ name: "b", type, maxElements: 10 });
    ipset.create({ name: "c", type: "bitmap:port" });
    ipset.create({ name: "a", type }, { exist: true });
    const code = (fn: () => void) => {
      try {
        fn();
        return null;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    assert.equal(code(() => ipset.create({ name: "a", type })), "EEXIST");
    assert.equal(
      code(() => ipset.create({ name: "a", type: "bitmap:port" }, { exist: true })),
      "EEXIST",
    );
    ipset.add("a", type, [{ address: "192.0.2.1" }]);
    ipset.swap("a", "b");
    assert.deepEqual(texts(ipset.list("b")[0].entries), ["192.0.2.1"]);
    assert.deepEqual(texts(ipset.list("a")[0].entries), []);
    assert.equal(code(() => ipset.swap("a", "c")), "IPSET_ERR_TYPE_MISMATCH");
    assert.equal(code(() => ipset.swap("a", "missing")), "IPSET_ERR_EXIST_SETNAME2");
    assert.equal(code(() => ipset.rename("a", "b")), "IPSET_ERR_EXIST_SETNAME2");
    ipset.rename("a", "d");
    ipset.flush("b");
    assert.deepEqual(texts(ipset.list("b")[0].entries), []);
    assert.equal(code(() => ipset.flush("a")), "ENOENT");
    ipset.destroy("d");
    assert.equal(code(() => ipset.destroy("d")), "ENOENT");
    ipset.destroy("d", { exist: true });
    assert.equal(code(() => ipset.list("d")), "ENOENT");
    assert.deepEqual(ipset.names().sort(), ["b", "c"]);
    assert.equal(
      code(() => ipset.remove("b", type, [{ address: "192.0.2.9" }])),
      "IPSET_ERR_EXIST",
    );
    // Kernels say EINVAL or ERANGE.
    assert.match(code(() => ipset.create({ name: "x".repeat(40), type })) ?? "", /^E/);
  },
});

import assert from "node:assert/strict";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import type { Family } from "../../../src/net/address.ts";
import { NetlinkError, NLM_F_CREATE, NLM_F_EXCL } from "../../../src/netlink/message.ts";
import { familyNumber } from "../../../src/netlink/family.ts";
import {
  type Connection,
  type ConnectionFilter,
  Conntrack,
  STATUS,
  type Tuple,
} from "../../../src/netlink/netfilter/conntrack.ts";
import { tupleAttributes } from "../../../src/netlink/netfilter/conntrack_connection.ts";
import { matches } from "../../../src/netlink/netfilter/conntrack_filter.ts";
import { CONNECTION, CT_NEW } from "../../../src/netlink/netfilter/conntrack_formats.ts";
import { missing, requires } from "../../requirements.ts";

interface Entry {
  readonly family: Family;
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly mark?: number;
  readonly zone?: number;
}

/** A UDP connection through a virtual address, as DNAT leaves it. */
function translated(family: Family, client: number, virtual: number, server: number): Entry {
  const ip = (net: number, host: number) =>
    family === "IPv4" ? `10.${net}.0.${host}` : `2001:db8:${net}::${host.toString(16)}`;
  return {
    family,
    original: {
      source: ip(1, client),
      destination: ip(2, virtual),
      protocol: 17,
      sourcePort: 40000 + client,
      destinationPort: 53,
    },
    reply: {
      source: ip(3, server),
      destination: ip(1, client),
      protocol: 17,
      sourcePort: 5353,
      destinationPort: 40000 + client,
    },
  };
}

/** The table of a new namespace with these entries in it. */
function tableOf(entries: readonly Entry[]): Conntrack {
  using namespace = NetworkNamespace.create();
  const conntrack = namespace.run(() => Conntrack.open());
  const results = conntrack.socket.batch(
    entries.map(({ family, original, reply, mark, zone }) => ({
      type: CT_NEW,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      payload: CONNECTION.encode({ family: familyNumber(family) }, {
        original: tupleAttributes(family, original),
        reply: tupleAttributes(family, reply),
        timeout: 300,
        mark,
        zone,
        status: STATUS.seenReply | STATUS.assured | STATUS.confirmed,
      }),
      format: CONNECTION,
    })),
  );
  const refused = results.find((result) => result !== null);
  if (refused) throw refused;
  return conntrack;
}

/** Kernels may be built without zones. */
const ZONES = missing("root", "netns") === null && zonesWork();

function zonesWork(): boolean {
  try {
    tableOf([{ ...translated("IPv4", 1, 1, 1), zone: 7 }]).close();
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "EOPNOTSUPP") return false;
    throw error;
  }
}

const ENTRIES: readonly Entry[] = (["IPv4", "IPv6"] as const).flatMap((family) => [
  translated(family, 1, 1, 1),
  translated(family, 2, 1, 2),
  { ...translated(family, 3, 1, 1), mark: 0x4000 },
  translated(family, 4, 2, 1),
  { ...translated(family, 5, 2, 2), mark: 0x4001 },
  { ...translated(family, 6, 1, 1), ...(ZONES ? { zone: 7 } : {}) },
]);

Deno.test({
  ...requires("conntrack: what is in the table is read back", "root", "netns"),
  fn() {
    using conntrack = tableOf(ENTRIES);
    const found = conntrack.list();
    assert.equal(found.length, ENTRIES.length);
    for (const { family, original, reply, mark = 0, zone = 0 } of ENTRIES) {
      const one = found.find((c) =>
        c.family === family && c.original.sourcePort === original.sourcePort
      );
      assert.deepEqual(
        { ...one, id: 0, timeout: Math.ceil((one?.timeout ?? 0) / 10) },
        {
          family,
          original,
          reply,
          mark,
          zone,
          id: 0,
          status: one?.status,
          timeout: 30,
          tcpState: null,
          counters: null,
          startedAtMs: null,
        },
      );
      assert.equal((one?.status ?? 0) & STATUS.assured, STATUS.assured);
    }
    assert.equal(conntrack.table().entries, ENTRIES.length);
    assert(conntrack.table().maximum > ENTRIES.length);
  },
});

Deno.test({
  ...requires("conntrack: every filter gives what it means, in both families", "root", "netns"),
  fn() {
    using conntrack = tableOf(ENTRIES);
    const all = conntrack.list();
    const [v4, v6] = (["IPv4", "IPv6"] as const).map((family) => translated(family, 1, 1, 1));
    const ends = [v4, v6].flatMap(({ original, reply }): ConnectionFilter[] => [
      { original: { destination: original.destination } },
      { original: { source: original.source } },
      { reply: { source: reply.source } },
      { original: { destination: original.destination }, reply: { source: reply.source } },
      {
        protocol: 17,
        original: { destination: original.destination, destinationPort: 53 },
        reply: { source: reply.source, sourcePort: 5353 },
      },
    ]);
    const filters: ConnectionFilter[] = [
      ...ends,
      {},
      { family: "IPv6" },
      { protocol: 17 },
      { protocol: 6 },
      { protocol: 17, original: { sourcePort: 40002 } },
      { original: { sourcePort: 40002 } },
      { protocol: 17, reply: { destinationPort: 40002, sourcePort: 5353 } },
      { mark: { value: 0x4000 } },
      { mark: { value: 0x4000, mask: 0x4000 } },
      { mark: { value: 0, mask: 0x4000 }, family: "IPv4" },
      { status: { value: STATUS.assured } },
      { status: { value: 0, mask: STATUS.assured } },
      { zone: 7 },
      { zone: 0, protocol: 17 },
      { family: "IPv4", original: { source: v6.original.source } },
    ];
    const counts = filters.map((filter) => {
      const expected = all.filter((connection) => matches(connection, filter));
      const found = conntrack.list(filter);
      assert.deepEqual(found.map(key).sort(), expected.map(key).sort(), JSON.stringify(filter));
      return found.length;
    });
    assert.deepEqual(
      counts,
      [
        4,
        1,
        4,
        3,
        3,
        4,
        1,
        4,
        3,
        3,
        12,
        6,
        12,
        0,
        2,
        2,
        2,
        2,
        4,
        4,
        12,
        0,
        ...(ZONES ? [2, 10] : [0, 12]),
        0,
      ],
    );
  },
});

function key(connection: Connection): string {
  return `${connection.family} ${connection.original.sourcePort}`;
}

Deno.test({
  ...requires("conntrack: exactly what matches is deleted", "root", "netns"),
  fn() {
    const many = Array.from({ length: 600 }, (_, i) => translated("IPv4", 10 + i % 200, 1, 9))
      .map((entry, i) => ({
        ...entry,
        original: { ...entry.original, sourcePort: 1000 + i },
        reply: { ...entry.reply, destinationPort: 1000 + i },
      }));
    using conntrack = tableOf([...ENTRIES, ...many]);
    const deleteMatching = (filter: ConnectionFilter) => {
      const results = conntrack.deleteAll(conntrack.list(filter));
      return results.filter((result) => result === null).length;
    };
    assert.equal(deleteMatching({ protocol: 17, reply: { source: "10.3.0.9" } }), 600);
    assert.equal(conntrack.table().entries, ENTRIES.length);
    // The UDP cleanup of one endpoint of one virtual address, IPv6.
    const filter: ConnectionFilter = {
      protocol: 17,
      original: { destination: "2001:db8:2::1", destinationPort: 53 },
      reply: { source: "2001:db8:3::1" },
    };
    assert.equal(deleteMatching(filter), 3);
    assert.equal(deleteMatching(filter), 0);
    assert.deepEqual(
      conntrack.list({ family: "IPv6" }).map((c) => c.original.sourcePort).sort(),
      [40002, 40004, 40005],
    );
  },
});

Deno.test({
  ...requires("conntrack: a later connection between the same ends is spared", "root", "netns"),
  fn() {
    using conntrack = tableOf(ENTRIES);
    const [one] = conntrack.list({ protocol: 17, original: { sourcePort: 40001 } });
    assert.equal(conntrack.delete({ ...one, id: (one.id ^ 1) >>> 0 }), false);
    assert.equal(conntrack.delete(one), true);
    assert.equal(conntrack.delete(one), false);
    // Without an id, whatever is between these ends.
    const [two] = conntrack.list({ protocol: 17, original: { sourcePort: 40002 } });
    assert.equal(conntrack.delete({ family: two.family, original: two.original }), true);
    // In a zone, only with the zone.
    const [zoned] = conntrack.list({ protocol: 17, original: { sourcePort: 40006 } });
    const named = { family: zoned.family, original: zoned.original };
    assert.equal(ZONES && conntrack.delete(named), false);
    assert.equal(conntrack.delete(zoned), true);
    const results = conntrack.deleteAll([one, ...conntrack.list()]);
    assert.deepEqual(results.map((result) => result?.code ?? null), [
      "ENOENT",
      ...new Array<null>(ENTRIES.length - 3).fill(null),
    ]);
    assert.match(
      results[0]?.message ?? "",
      /^delete the connection from \S+ port 40001 to .*ENOENT/,
    );
  },
});

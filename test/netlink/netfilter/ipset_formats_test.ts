import assert from "node:assert/strict";
import fc from "fast-check";
import { parseAck, parseMessages } from "../../../src/netlink/message.ts";
import { NetlinkError } from "../../../src/netlink/error.ts";
import { entryText } from "../../../src/netlink/netfilter/ipset.ts";
import { CHANGE, COMMAND } from "../../../src/netlink/netfilter/ipset_formats.ts";
import {
  entryAttributes,
  explainSetError,
  readSets,
} from "../../../src/netlink/netfilter/ipset_set.ts";
import { datagrams, readOrRefused, recorded } from "../fixture.ts";

Deno.test("ipset: recorded sets", () => {
  const sets = readSets(recorded("sets"));
  const byName = new Map(sets.map((set) => [set.name, set]));
  assert.equal(byName.size, 3);
  const cluster = byName.get("KUBE-CLUSTER-IP");
  assert.deepEqual([cluster?.type, cluster?.family, cluster?.counters, cluster?.comments], [
    "hash:ip,port",
    "IPv4",
    true,
    true,
  ]);
  assert.deepEqual(
    cluster?.entries.map((entry) => [entryText(entry), entry.comment, entry.counters]).sort(),
    [
      ["10.96.0.1,tcp:443", "kubernetes", { packets: 0n, bytes: 0n }],
      ["10.96.0.10,udp:53", undefined, { packets: 0n, bytes: 0n }],
    ],
  );
  const ports = byName.get("KUBE-NODE-PORT-TCP");
  assert.deepEqual([ports?.type, ports?.ports, ports?.family], [
    "bitmap:port",
    { from: 0, to: 65535 },
    undefined,
  ]);
  assert.deepEqual(
    ports?.entries.map((entry) => entry.port),
    Array.from({ length: 200 }, (_, n) => 30000 + n),
  );
  const six = byName.get("KUBE-6");
  assert.deepEqual([six?.timeout, six?.family, six?.entries.map(entryText)], [
    60,
    "IPv6",
    ["2001:db8::1,tcp:80,2001:db8:1::/48"],
  ]);
});

Deno.test("ipset: a recorded refusal holds the line of the entry", () => {
  const [message] = parseMessages(datagrams("refused-entry")[0]);
  const error = parseAck(message, { type: COMMAND.add, payload: new Uint8Array(), what: "add" });
  assert(error?.extended.request !== undefined);
  assert.equal(CHANGE.decode(error.extended.request).attributes.line, 42);
  assert.equal(
    explainSetError(error, "bitmap:port").message,
    "add: IPSET_ERR_EXIST (the entry is there already, or is not there)",
  );
});

Deno.test("ipset: the numbers of errors depend on the type of the set", () => {
  const explained = (errno: number, type?: string) =>
    explainSetError(new NetlinkError(errno, "add"), type).code;
  assert.equal(explained(4352, "hash:ip"), "IPSET_ERR_HASH_FULL");
  assert.equal(explained(4352, "bitmap:port"), "IPSET_ERR_BITMAP_RANGE");
  assert.equal(explained(4103), "IPSET_ERR_EXIST");
  assert.equal(explained(2), "ENOENT");
  assert.equal(explained(5000), "errno 5000");
});

Deno.test("ipset: the bytes of an entry are those that the kernel takes", () => {
  const entry = { address: "10.0.0.1", port: 80, protocol: 6 };
  const written = CHANGE.encode({}, { protocol: 7, data: entryAttributes(entry, 3) }).toHex();
  assert.equal(
    written,
    "00000000" + "0500010007000000" + "28000780" +
      "0c000180" + "080001400a000001" + "0600044000500000" + "0500070006000000" +
      "0800090003000000",
  );
});

Deno.test("ipset: lists with any bytes are read or refused", () => {
  const originals = recorded("sets");
  fc.assert(
    fc.property(
      fc.nat(originals.length - 1),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }),
      fc.nat(),
      (place, changes, cut) => {
        const messages = originals.map((message, i) => {
          if (i !== place) return message;
          const { length } = message.payload;
          const payload = message.payload.slice(0, length - cut % length);
          for (const [at, value] of changes) payload[at % Math.min(payload.length, 300)] = value;
          return { ...message, payload };
        });
        readOrRefused(() =>
          readSets(messages).flatMap(({ entries }) => entries).forEach(entryText)
        );
      },
    ),
    { numRuns: 1000 },
  );
});

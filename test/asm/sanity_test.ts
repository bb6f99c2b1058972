/** Packets that are malformed or must not be forwarded, each dropped under its reason. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, buildIp, buildPacket, ipOf } from "../engine/packets.ts";

const SPEC = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };
const SPEC6 = { source: "fd00:50::2", sourcePort: 5000, dest: "fd00:99::9", port: 80 };
const UDP = { ...SPEC, protocol: "UDP" as const };

function bench(): Bench {
  return new Bench([
    { name: "v4", backends: ["10.60.0.2:8080"] },
    { name: "u4", protocol: "UDP", backends: ["10.60.0.2:8080"] },
    { name: "v6", address: "fd00:99::9", backends: ["[fd00:244::5]:8080"] },
  ]);
}

/** A packet with bytes of its IP header or behind changed, and the IPv4 checksum made right again. */
function changed(
  spec: Parameters<typeof buildPacket>[0],
  bytes: Record<number, number>,
): Uint8Array {
  const packet = buildPacket(spec);
  const ip = ipOf(packet);
  for (const [at, byte] of Object.entries(bytes)) ip[Number(at)] = byte;
  if (ip[0] >> 4 === 4 && !("10" in bytes)) {
    ip[10] = ip[11] = 0;
    let sum = 0;
    const length = Math.min((ip[0] & 15) * 4, ip.length);
    for (let i = 0; i < length; i += 2) sum += ip[i] << 8 | ip[i + 1];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    ip[10] = ~sum >> 8 & 0xff;
    ip[11] = ~sum & 0xff;
  }
  return packet;
}

/** An IPv6 packet with an extension header in front of its TCP segment. */
function extended(kind: number, header: readonly number[]): Uint8Array {
  const segment = ipOf(buildPacket(SPEC6)).slice(40);
  const payload = new Uint8Array([6, ...header, ...segment]);
  return buildIp(SPEC6, kind, payload);
}

const cases: readonly [name: string, reason: string, packet: Uint8Array][] = [
  ["nothing", "malformed", new Uint8Array(0)],
  ["a header alone", "malformed", new Uint8Array(12)],
  ["one byte", "malformed", Uint8Array.of(...new Uint8Array(12), 0x45)],
  ["IPv5", "version", changed(SPEC, { 0: 0x55 })],
  ["ihl 4", "malformed", changed(SPEC, { 0: 0x44 })],
  ["ihl beyond the packet", "malformed", changed(SPEC, { 0: 0x4f, 3: 50 })],
  ["total length beyond", "malformed", changed(SPEC, { 3: 41 })],
  ["total length below the header", "malformed", changed(SPEC, { 3: 19 })],
  ["checksum", "header_checksum", changed(SPEC, { 10: 1 })],
  ["TTL 0", "ttl", changed(SPEC, { 8: 0 })],
  ["source 0/8", "source", buildPacket({ ...SPEC, source: "0.1.2.3" })],
  ["source 127/8", "source", buildPacket({ ...SPEC, source: "127.0.0.1" })],
  ["source multicast", "source", buildPacket({ ...SPEC, source: "224.0.0.1" })],
  ["source broadcast", "source", buildPacket({ ...SPEC, source: "255.255.255.255" })],
  ["destination 127/8", "destination", buildPacket({ ...SPEC, dest: "127.0.0.1" })],
  ["destination multicast", "destination", buildPacket({ ...SPEC, dest: "239.1.1.1" })],
  ["LAND", "land", buildPacket({ ...SPEC, source: SPEC.dest, sourcePort: SPEC.port })],
  ["port 0", "port_zero", buildPacket({ ...SPEC, sourcePort: 0 })],
  ["to port 0", "port_zero", buildPacket({ ...SPEC, port: 0 })],
  ["data offset 4", "tcp_flags", changed(SPEC, { 32: 0x40 })],
  ["data offset beyond", "tcp_flags", changed(SPEC, { 32: 0x60 })],
  ["half a TCP header", "malformed", changed({ ...SPEC }, { 3: 39 })],
  ["UDP length 7", "malformed", changed(UDP, { 25: 7 })],
  ["UDP length beyond", "malformed", changed(UDP, { 25: 9 })],
  ["IPv6 length beyond", "malformed", changed(SPEC6, { 5: 21 })],
  ["hop limit 0", "ttl", changed(SPEC6, { 7: 0 })],
  ["source ::", "source", buildPacket({ ...SPEC6, source: "::" })],
  ["source ::1", "source", buildPacket({ ...SPEC6, source: "::1" })],
  ["source multicast (6)", "source", buildPacket({ ...SPEC6, source: "ff02::1" })],
  ["source link-local", "source", buildPacket({ ...SPEC6, source: "fe80::1" })],
  ["destination ::1", "destination", buildPacket({ ...SPEC6, dest: "::1" })],
  ["destination multicast (6)", "destination", buildPacket({ ...SPEC6, dest: "ff02::1" })],
  ["IPv4-mapped source", "source", changed(SPEC6, { 8: 0, 9: 0, 11: 0, 18: 255, 19: 255 })],
  ["routing header type 0", "options", extended(43, [0, 0, 0, 0, 0, 0, 0])],
  ["routing header, segments left", "options", extended(43, [0, 4, 1, 0, 0, 0, 0])],
  ["extension header beyond", "malformed", extended(60, [9, 0, 0, 0, 0, 0, 0])],
];

for (const [name, reason, packet] of cases) {
  Deno.test(`dropped: ${name}`, () => {
    const engine = bench();
    assert.equal(engine.sendBytes(packet).verdict, `drop: ${reason}`);
    assert.deepEqual(engine.dropped(), { [reason]: 1 });
  });
}

Deno.test("dropped: a Service's own address as source", () => {
  const engine = new Bench([
    { name: "a", address: "10.99.0.1", backends: ["10.60.0.2:8080"] },
    { name: "b", address: "10.99.0.2", backends: ["10.60.0.3:8080"] },
  ]);
  const spoofed = { source: "10.99.0.1", sourcePort: 80, dest: "10.99.0.2", port: 80 };
  assert.equal(engine.send(spoofed).verdict, "drop: source_is_service");
});

Deno.test("dropped: source routing options", () => {
  for (const option of [131, 137]) {
    const inner = ipOf(buildPacket(SPEC));
    const packet = new Uint8Array(12 + 48 - 20 + 24);
    packet.set(inner.subarray(0, 20), 12);
    packet.set([option, 3, 4, 0], 32);
    packet.set(inner.subarray(20), 36);
    packet[12] = 0x46;
    packet[15] = 44;
    const head = packet.subarray(12, 36);
    head[10] = head[11] = 0;
    let sum = 0;
    for (let i = 0; i < 24; i += 2) sum += head[i] << 8 | head[i + 1];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    head[10] = ~sum >> 8 & 0xff;
    head[11] = ~sum & 0xff;
    assert.equal(bench().sendBytes(packet.subarray(0, 56)).verdict, "drop: options");
  }
});

Deno.test("harmless extension headers are stepped over", () => {
  const engine = bench();
  for (const packet of [extended(0, [0, 1, 4, 0, 0, 0, 0]), extended(60, [0, 1, 4, 0, 0, 0, 0])]) {
    engine.engine.slotBytes(0).set(packet);
    engine.engine.setLength(0, packet.length);
    engine.engine.process(0, 1, engine.nowMs);
  }
  assert.equal(engine.engine.counters().forwarded, 2);
  assert.equal(engine.connections().length, 1);
});

Deno.test("padding behind the packet is left out", () => {
  const packet = buildPacket(SPEC);
  const padded = new Uint8Array(packet.length + 6);
  padded.set(packet);
  assert.equal(bench().sendBytes(padded).bytes.length, packet.length);
});

Deno.test("a length beyond the slot is refused", () => {
  const { engine } = bench();
  for (const length of [engine.slotCapacity + 1, 2 ** 31, 2 ** 32 - 1]) {
    engine.setLength(0, length);
    engine.process(0, 1, 1);
  }
  assert.equal(engine.counters().dropped.malformed, 3);
});

Deno.test("an ACK to a Service that is not there passes, one that is INVALID does not", () => {
  const engine = bench();
  assert.equal(engine.send({ ...SPEC, port: 81, flags: ACK }).verdict, "pass: no_frontend");
  assert.equal(engine.send({ ...SPEC, flags: 0 }).verdict, "drop: tcp_flags");
});

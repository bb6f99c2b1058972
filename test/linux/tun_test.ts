import assert from "node:assert/strict";
import { close, lastErrno, poll, pollSet, read, SystemError, write } from "../../src/linux/libc.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { openTun, TUN_F_CSUM, TUN_HEADER_SIZE } from "../../src/linux/tun.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { requires } from "../requirements.ts";
import { PATIENCE_MS } from "../until.ts";

const NODE = "192.0.2.1";

/** A namespace with a TUN device that is up and has 192.0.2.1/24. */
function tunNamespace(offload: boolean) {
  const namespace = NetworkNamespace.create();
  const tun = namespace.run(() => {
    const device = openTun({ name: "test%d", offload });
    using net = Rtnetlink.open();
    net.addresses.add({ link: device.index, address: NODE, prefix: 24 });
    net.links.setUp(device.index);
    return device;
  });
  return { namespace, tun };
}

/** The next IPv4 packet of a protocol with its virtio-net header; others are passed over. */
function nextPacket(fd: number, protocol: number): { header: Uint8Array; packet: Uint8Array } {
  const buffer = new Uint8Array(65536 + TUN_HEADER_SIZE);
  for (;;) {
    const length = read(fd, buffer, buffer.length);
    if (length < 0) {
      assert.equal(lastErrno(), 11);
      assert(poll(pollSet([fd]), PATIENCE_MS) > 0, "no packet came");
      continue;
    }
    const packet = buffer.slice(TUN_HEADER_SIZE, length);
    if (packet[0] >> 4 === 4 && packet[9] === protocol) {
      return { header: buffer.slice(0, TUN_HEADER_SIZE), packet };
    }
  }
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i] << 8 | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** An ICMP echo request from 192.0.2.2 to the node, behind an empty virtio-net header. */
function echoRequest(data: number[]): Uint8Array<ArrayBuffer> {
  const icmp = Uint8Array.from([8, 0, 0, 0, 0x12, 0x34, 0, 1, ...data]);
  new DataView(icmp.buffer).setUint16(2, checksum(icmp));
  const ip = Uint8Array.from(
    [0x45, 0, 0, 20 + icmp.length, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1],
  );
  new DataView(ip.buffer).setUint16(10, checksum(ip));
  return Uint8Array.from([...new Uint8Array(TUN_HEADER_SIZE), ...ip, ...icmp]);
}

Deno.test({
  ...requires("tun: what is written arrives, and the answer is read", "root", "netns", "tun"),
  fn() {
    const { namespace, tun } = tunNamespace(true);
    try {
      assert.match(tun.name, /^test\d+$/);
      const request = echoRequest([1, 2, 3, 4]);
      assert.equal(write(tun.fd, request, request.length), request.length);
      const { packet } = nextPacket(tun.fd, 1);
      assert.deepEqual([...packet.subarray(12, 20)], [192, 0, 2, 1, 192, 0, 2, 2]);
      assert.equal(packet[20], 0, "an echo reply");
      assert.deepEqual([...packet.subarray(28)], [1, 2, 3, 4]);
      assert.equal(checksum(packet.subarray(20)), 0);
    } finally {
      close(tun.fd);
      namespace.close();
    }
  },
});

Deno.test({
  ...requires("tun: with offload, checksums are left to the reader", "root", "netns", "tun"),
  async fn() {
    for (const offload of [true, false]) {
      const { namespace, tun } = tunNamespace(offload);
      try {
        if (offload) assert(tun.offloads & TUN_F_CSUM);
        else assert.equal(tun.offloads, 0);
        const socket = namespace.run(() =>
          Deno.listenDatagram({ transport: "udp", hostname: NODE, port: 0 })
        );
        try {
          const to = { transport: "udp", hostname: "192.0.2.9", port: 9 } as const;
          await socket.send(new Uint8Array([5, 6, 7]), to);
        } finally {
          socket.close();
        }
        const { header, packet } = nextPacket(tun.fd, 17);
        const view = new DataView(header.buffer);
        assert.equal(header[0] & 1, offload ? 1 : 0, "NEEDS_CSUM");
        assert.equal(view.getUint16(6, true), offload ? 20 : 0, "csum_start");
        assert.equal(view.getUint16(8, true), offload ? 6 : 0, "csum_offset");
        assert.deepEqual([...packet.subarray(28)], [5, 6, 7]);
      } finally {
        close(tun.fd);
        namespace.close();
      }
    }
  },
});

Deno.test({
  ...requires("tun: the device is gone when its descriptor is closed", "root", "netns", "tun"),
  fn() {
    const { namespace, tun } = tunNamespace(true);
    using net = namespace.run(() => Rtnetlink.open());
    assert.equal(net.links.get(tun.name)?.kind, "tun");
    assert.equal(net.links.get(tun.name)?.index, tun.index);
    assert.throws(
      () => namespace.run(() => openTun({ name: tun.name })),
      (error) => error instanceof SystemError && error.code === "EBUSY",
    );
    close(tun.fd);
    assert.equal(net.links.get(tun.name), null);
    namespace.close();
  },
});

Deno.test("tun: names that the kernel would cut are refused", () => {
  assert.throws(() => openTun({ name: "" }), TypeError);
  assert.throws(() => openTun({ name: "sixteen-bytes-xx" }), TypeError);
});

/**
 * A node of its own in a network namespace, whose rules are the kernel's: packets are written to
 * one TUN device and read where they come out.
 *
 * @module
 */

import { parseSave } from "../../../src/dataplane/iptables/save_text.ts";
import { addressBytes, formatAddress, formatSocketAddress } from "../../../src/net/address.ts";
import { close, read, write } from "../../../src/linux/libc.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { writeSysctl } from "../../../src/linux/sysctl.ts";
import { openTun, TUN_HEADER_SIZE, type TunDevice } from "../../../src/linux/tun.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";

/** The node's address on "left", its primary one, and on "right". */
export const NODE_ADDRESSES = ["10.1.0.1", "10.2.0.1"] as const;

/** A packet as it is written. */
export interface Sent {
  readonly source: string;
  readonly sourcePort: number;
  readonly dest: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP";
}

/**
 * Two devices, "left" (10.1.0.0/16) and "right" (10.2.0.0/16 and all else), between which the node
 * forwards. Unless {@link listen} made one it has no listeners: what is delivered to it is answered with a reset or "port unreachable", and
 * rules that reject must do so with `icmp-admin-prohibited` to be told apart.
 */
export class KernelNode {
  readonly #namespace = NetworkNamespace.create();
  readonly #left: TunDevice;
  readonly #right: TunDevice;

  /** @param backend the program: "iptables" (on nf_tables) or "iptables-legacy". */
  constructor(private readonly backend: string) {
    [this.#left, this.#right] = this.#namespace.run(() => {
      for (const name of ["all", "default"]) {
        writeSysctl(`net.ipv4.conf.${name}.rp_filter`, 0);
        writeSysctl(`net.ipv4.conf.${name}.send_redirects`, 0);
        writeSysctl(`net.ipv6.conf.${name}.disable_ipv6`, 1);
      }
      writeSysctl("net.ipv4.ip_forward", 1);
      writeSysctl("net.ipv4.conf.all.route_localnet", 1);
      writeSysctl("net.ipv4.icmp_ratemask", 0);
      using net = Rtnetlink.open();
      net.links.setUp("lo");
      const devices = ["left", "right"].map((name, i) => {
        const device = openTun({ name, offload: false });
        net.addresses.add({ link: device.index, address: NODE_ADDRESSES[i], prefix: 16 });
        net.links.setUp(device.index);
        return device;
      });
      net.routes.add({ destination: "0.0.0.0/0", link: "right" });
      return devices;
    });
  }

  /** Replaces all rules of the tables in the text, and answers what iptables-save prints then. */
  load(text: string): string {
    this.run([`${this.backend}-restore`], text);
    return this.run([`${this.backend}-save`]);
  }

  /** The rules that packets matched since {@link load}: "TABLE CHAIN NUMBER". */
  counted(): string[] {
    const found: string[] = [];
    for (const { name, rules } of parseSave(this.run([`${this.backend}-save`, "-c"]))) {
      const numbers = new Map<string, number>();
      for (const { chain, counters } of rules) {
        const number = (numbers.get(chain) ?? 0) + 1;
        numbers.set(chain, number);
        if (counters!.packets > 0n) found.push(`${name} ${chain} ${number}`);
      }
    }
    return found;
  }

  /** A UDP socket of the node that takes what comes, and does not answer. */
  listen(port: number): Disposable {
    const socket = this.#namespace.run(() =>
      Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port })
    );
    return { [Symbol.dispose]: () => socket.close() };
  }

  /** Sends a UDP datagram from a process on the node; the kernel chooses the source address. */
  sendFromNode(dest: string, port: number): void {
    const program = `echo x > /dev/udp/${dest}/${port} || true`;
    this.run(["bash", "-c", program]);
    for (const device of [this.#left, this.#right]) received(device.fd);
  }

  /** What a function returns that is called in the namespace. */
  inside<T>(fn: () => T): T {
    return this.#namespace.run(fn);
  }

  /** Runs a program in the namespace; throws with its last words when it fails. */
  run(command: readonly string[], input = ""): string {
    const script = `printf %s "$INPUT" | "$@"`;
    const { success, stdout, stderr } = this.#namespace.run(() =>
      new Deno.Command("sh", {
        args: ["-c", script, "sh", ...command],
        env: { INPUT: input },
        stdin: "null",
      }).outputSync()
    );
    const decoder = new TextDecoder();
    if (!success) throw new Error(`${command.join(" ")}: ${decoder.decode(stderr)}\n${input}`);
    return decoder.decode(stdout);
  }

  /**
   * Sends a packet in by "left" and says what became of it: "delivered" to the node, "rejected",
   * "dropped", or where it left for: "10.2.0.9:80", with ", masqueraded" when its source is another.
   * The kernel is done with a packet when the write returns.
   */
  send(packet: Sent): string {
    const bytes = encode(packet);
    const result = write(this.#left.fd, bytes, bytes.length);
    if (result !== bytes.length) throw new Error(`writing a packet wrote ${result} bytes`);
    const fates = [this.#left, this.#right].flatMap((device) => received(device.fd))
      .map((bytes) => fate(bytes, packet));
    if (fates.length > 1) throw new Error(`one packet became ${fates.join(" and ")}`);
    return fates[0] ?? "dropped";
  }

  [Symbol.dispose](): void {
    close(this.#left.fd);
    close(this.#right.fd);
    this.#namespace.close();
  }
}

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const RST = 4;
const PORT_UNREACHABLE = 3;

function fate(bytes: Uint8Array, sent: Sent): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes[9] === ICMP) return bytes[21] === PORT_UNREACHABLE ? "delivered" : "rejected";
  if (bytes[9] === TCP && (bytes[33] & RST) !== 0) return "delivered";
  const source = formatAddress(bytes.subarray(12, 16));
  const dest = formatSocketAddress(formatAddress(bytes.subarray(16, 20)), view.getUint16(22));
  return source === sent.source ? dest : `${dest}, masqueraded`;
}

function received(fd: number): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const buffer = new Uint8Array(2048);
  for (;;) {
    const length = read(fd, buffer, buffer.length);
    if (length < 0) return packets;
    const packet = buffer.slice(TUN_HEADER_SIZE, length);
    if (packet[0] >> 4 === 4) packets.push(packet);
  }
}

/** An empty UDP datagram or a TCP SYN, behind an empty virtio-net header. */
function encode({ source, sourcePort, dest, port, protocol }: Sent): Uint8Array<ArrayBuffer> {
  const number = protocol === "TCP" ? TCP : UDP;
  const size = protocol === "TCP" ? 20 : 8;
  const packet = new Uint8Array(TUN_HEADER_SIZE + 20 + size);
  const ip = packet.subarray(TUN_HEADER_SIZE, TUN_HEADER_SIZE + 20);
  ip.set([0x45, 0, 0, 20 + size, 0, 1, 0, 0, 64, number]);
  ip.set(addressBytes(source), 12);
  ip.set(addressBytes(dest), 16);
  setWord(ip, 10, checksum(ip));
  const transport = packet.subarray(TUN_HEADER_SIZE + 20);
  setWord(transport, 0, sourcePort);
  setWord(transport, 2, port);
  if (protocol === "TCP") transport.set([0x50, 2, 0xff, 0xff], 12);
  else setWord(transport, 4, size);
  const pseudo = [...ip.subarray(12, 20), 0, number, 0, size, ...transport];
  setWord(transport, protocol === "TCP" ? 16 : 6, checksum(Uint8Array.from(pseudo)));
  return packet;
}

function setWord(bytes: Uint8Array, offset: number, word: number): void {
  bytes[offset] = word >> 8;
  bytes[offset + 1] = word & 0xff;
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i] << 8 | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

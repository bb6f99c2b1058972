/** Captures of tcpdump, of real packets. */

import assert from "node:assert/strict";
import { readCapture } from "../../src/capture/capture.ts";
import { CaptureError } from "../../src/capture/reader.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { replayCapture } from "../../src/replay/run.ts";
import { plannerOf } from "../dataplane/iptables/plans.ts";
import { plain, slice } from "../api/real_state.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";

const VIP = "10.0.1.175";
/** Of an HTTP-like exchange: handshake, request, answer; how its end is acknowledged depends. */
const LEAST_PACKETS = 5;
const ANSWER = 3000;

/** Reads until the text is there. */
async function untilSaid(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  text: string,
): Promise<void> {
  let seen = "";
  for await (
    const chunk of stream.pipeThrough(new TextDecoderStream()).values({
      preventCancel: true,
    })
  ) {
    seen += chunk;
    if (seen.includes(text)) return;
  }
  throw new Error(`tcpdump said: ${seen}`);
}

/** What tcpdump captures of a conversation with a Service's address. */
async function capture(args: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  using namespace = NetworkNamespace.create();
  namespace.run(() => {
    using net = Rtnetlink.open();
    net.links.setUp("lo");
    net.addresses.add({ link: "lo", address: VIP });
  });
  const tcpdump = namespace.run(() =>
    new Deno.Command("tcpdump", {
      // In its usual buffer there is room for eight packets, which then get lost.
      args: [...args, "-B", "32768", "-U", "--immediate-mode", "-w", "-", "tcp"],
      stdout: "piped",
      stderr: "piped",
    }).spawn()
  );
  const file = new GrowingFile(tcpdump.stdout);
  try {
    await untilSaid(tcpdump.stderr, "listening on");
    await converse(namespace);
    // A busy machine's tcpdump may be late, and does not read what is left when it is told to end.
    await until(() => file.packetBytes > ANSWER + LEAST_PACKETS * 52, "the answer is captured");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  } finally {
    tcpdump.kill("SIGINT");
    await tcpdump.status;
  }
  return await file.whole();
}

/** What a program writes, while it does. */
class GrowingFile {
  #chunks: Uint8Array[] = [];
  readonly #end: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#end = this.#read(stream);
  }

  /** Bytes on the wire of the packets that are there, whatever was kept of them. */
  get packetBytes(): number {
    let bytes = 0;
    try {
      for (const { originalLength } of readCapture(this.#sofar())) bytes += originalLength;
    } catch (error) {
      // A packet is there in part.
      if (!(error instanceof CaptureError)) throw error;
    }
    return bytes;
  }

  /** All of it, when the program has ended. */
  async whole(): Promise<Uint8Array<ArrayBuffer>> {
    await this.#end;
    return this.#sofar();
  }

  #sofar(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#chunks.reduce((sum, { length }) => sum + length, 0));
    let offset = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, offset);
      offset += chunk.length;
    }
    return all;
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream) this.#chunks.push(chunk);
  }
}

/** A request with an answer of some segments. */
async function converse(namespace: NetworkNamespace): Promise<void> {
  using server = namespace.run(() => Deno.listen({ hostname: VIP, port: 80 }));
  const answered = (async () => {
    const peer = await server.accept();
    await peer.read(new Uint8Array(100));
    await peer.write(new Uint8Array(ANSWER));
    peer.close();
  })();
  const words = `exec 3<>/dev/tcp/${VIP}/80; echo GET / >&3; cat <&3`;
  const client = namespace.run(() =>
    new Deno.Command("bash", { args: ["-c", words], stdout: "piped" }).spawn()
  );
  assert.equal((await client.output()).stdout.length, ANSWER);
  await answered;
}

for (
  const [what, args, linkType] of [
    ["Ethernet", ["-i", "lo"], 1],
    ["Ethernet, nanoseconds, cut", ["-i", "lo", "--time-stamp-precision=nano", "-s", "96"], 1],
    ["Linux cooked", ["-i", "any", "-y", "LINUX_SLL"], 113],
    ["Linux cooked, version 2", ["-i", "any", "-y", "LINUX_SLL2"], 276],
  ] as [string, string[], number][]
) {
  Deno.test({
    ...requires(`what tcpdump captures is replayed: ${what}`, "root", "netns", "tcpdump", "bash"),
    async fn() {
      const started = Date.now();
      const file = await capture(args);
      const packets = [...readCapture(file)];
      assert.ok(packets.length >= LEAST_PACKETS, String(packets.length));
      assert.ok(packets.every((packet) => packet.linkType === linkType));
      const { plan } = plannerOf([plain("web", VIP), slice("web", ["10.180.0.1"])]);
      const setting = { plan, mode: "iptables" as const, limit: 10, maxMs: 5000, seed: 1n };
      const report = await replayCapture(file, setting);
      assert.deepEqual([report.complete, report.skipped, report.unmatched], [true, {}, []]);
      assert.equal(report.connectionsTotal, 1);
      const [{ service, backend, verdict, original, replies, dropped, startedAt }] =
        report.connections;
      assert.deepEqual([service, backend, verdict, dropped], [
        "default/web:http",
        { address: "10.180.0.1", port: 8080 },
        "FORWARD",
        {},
      ]);
      assert.equal(original.packets + replies.packets, packets.length);
      assert.ok(replies.bytes > ANSWER, "what was cut off counts");
      assert.ok(Math.abs(Date.parse(startedAt!) - started) < 60_000, startedAt!);
    },
  });
}

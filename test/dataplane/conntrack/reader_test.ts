import assert from "node:assert/strict";
import { ConnectionReader } from "../../../src/dataplane/conntrack/reader.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";
import type { Connection } from "../../../src/netlink/netfilter/conntrack.ts";
import { ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import { requires } from "../../requirements.ts";

const FLOWS = 2500;

async function all(parts: AsyncIterable<readonly Connection[]>): Promise<Connection[]> {
  return (await Array.fromAsync(parts)).flat();
}

Deno.test({
  ...requires("the kernel's connections are read in parts", "root", "netns", "iptables-nft"),
  async fn() {
    using namespace = NetworkNamespace.create();
    namespace.run(() => {
      using net = Rtnetlink.open();
      net.links.setUp("lo");
    });
    // Connections are tracked once a rule needs that.
    const rule = ["-w", "5", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"];
    assert.equal((await new ProgramRunner(namespace).run("iptables-nft", rule)).code, 0);
    const socket = namespace.run(() =>
      Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 })
    );
    for (let port = 1; port <= FLOWS; port++) {
      await socket.send(new Uint8Array(1), { transport: "udp", hostname: "127.0.0.2", port });
    }
    const { port: sourcePort } = socket.addr as Deno.NetAddr;
    socket.close();
    const reader = new ConnectionReader(() => namespace.run(() => NetworkNamespace.current()));
    const filter = { protocol: 17, original: { sourcePort } };
    // More at a time than there are readers: the others wait.
    const [found] = await Promise.all([1, 2, 3, 4].map(() => all(reader.read(filter))));
    assert.deepEqual(
      found.map(({ original }) => original.destinationPort).sort((a, b) => a! - b!),
      Array.from({ length: FLOWS }, (_, i) => i + 1),
    );
    assert.ok(found.every(({ id }, i) => i === 0 || id > found[i - 1].id));
    const half = await all(reader.read(filter, found[1000].id));
    assert.deepEqual(half.map(({ id }) => id), found.slice(1001).map(({ id }) => id));
    for await (const part of reader.read(filter)) {
      assert.equal(part.length, 1000);
      break;
    }
  },
});

Deno.test("a namespace that cannot be had ends the reading, and not the next one", async () => {
  const reader = new ConnectionReader(() => {
    throw new Error("gone");
  });
  for (let i = 0; i < 5; i++) await assert.rejects(all(reader.read({})), /^Error: gone$/);
});

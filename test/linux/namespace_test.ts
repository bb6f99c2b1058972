import assert from "node:assert/strict";
import { interfaceIndex, SystemError } from "../../src/linux/libc.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { requires } from "../requirements.ts";

/** A namespace that a link "mark0" makes recognisable. */
function marked(): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  namespace.run(() => {
    using net = Rtnetlink.open();
    net.links.createBridge({ name: "mark0" });
  });
  return namespace;
}

Deno.test({
  ...requires("namespace: making one leaves this thread where it is", "root", "netns"),
  fn() {
    const before = interfaceIndex("mark0");
    using namespace = marked();
    assert.equal(interfaceIndex("mark0"), before);
    assert.notEqual(namespace.run(() => interfaceIndex("mark0")), null);
  },
});

Deno.test({
  ...requires(
    "namespace: run returns the result and comes back, also after a throw",
    "root",
    "netns",
  ),
  fn() {
    using namespace = marked();
    using other = NetworkNamespace.create();
    assert.equal(namespace.run(() => 42), 42);
    assert.throws(
      () =>
        namespace.run(() => {
          throw new RangeError("inside");
        }),
      RangeError,
    );
    assert.equal(interfaceIndex("mark0"), null);
    // Nested runs return to the one around them.
    namespace.run(() => {
      assert.equal(other.run(() => interfaceIndex("mark0")), null);
      assert.notEqual(interfaceIndex("mark0"), null);
    });
    assert.equal(interfaceIndex("mark0"), null);
  },
});

Deno.test({
  ...requires("namespace: run refuses what goes on after it returns", "root", "netns"),
  async fn() {
    using namespace = marked();
    let called = false;
    const asynchronous = () =>
      // deno-lint-ignore require-await
      namespace.run(async () => {
        called = true;
      });
    assert.throws(asynchronous, TypeError);
    assert.equal(called, false);
    assert.throws(() => namespace.run(() => Promise.reject(new Error("lost"))), TypeError);
    assert.equal(interfaceIndex("mark0"), null);
    await new Promise((resolve) => setTimeout(resolve, 0));
  },
});

Deno.test({
  ...requires("namespace: a path opens it again, as long as it is held", "root", "netns"),
  fn() {
    const namespace = marked();
    const { path } = namespace;
    assert.match(path, /^\/proc\/\d+\/fd\/\d+$/);
    using again = NetworkNamespace.open(path);
    namespace.close();
    assert.notEqual(again.run(() => interfaceIndex("mark0")), null);
    assert.throws(() => NetworkNamespace.open("/proc/1/ns/no-such"), SystemError);
  },
});

Deno.test({
  ...requires("namespace: children started inside stay there", "root", "netns"),
  fn() {
    using namespace = marked();
    const script = `console.log(Deno.networkInterfaces().length)`;
    const inside = namespace.run(() =>
      new Deno.Command(Deno.execPath(), {
        args: ["eval", script],
        env: { NO_COLOR: "1" },
      }).outputSync()
    );
    // A fresh namespace has nothing but links that are down.
    assert.equal(new TextDecoder().decode(inside.stdout).trim(), "0");
  },
});

Deno.test({
  ...requires("namespace: sockets opened inside stay there", "root", "netns"),
  async fn() {
    using namespace = marked();
    namespace.run(() => {
      using net = Rtnetlink.open();
      net.links.setUp("lo");
    });
    const open = () => Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const receiver = namespace.run(open);
    const sender = namespace.run(open);
    try {
      await sender.send(new Uint8Array([1, 2, 3]), receiver.addr);
      const [bytes] = await receiver.receive();
      assert.deepEqual([...bytes], [1, 2, 3]);
    } finally {
      receiver.close();
      sender.close();
    }
  },
});

Deno.test({
  ...requires("namespace: a worker enters one for good and this thread doesn't", "root", "netns"),
  async fn() {
    using namespace = marked();
    const worker = new Worker(new URL("namespace_worker.ts", import.meta.url), { type: "module" });
    try {
      const answer = new Promise<unknown>((resolve, reject) => {
        worker.onmessage = (event) => resolve(event.data);
        worker.onerror = (event) => reject(new Error(event.message));
      });
      worker.postMessage(namespace.path);
      assert.equal(await answer, true);
    } finally {
      worker.terminate();
    }
    assert.equal(interfaceIndex("mark0"), null);
  },
});

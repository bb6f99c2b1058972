import assert from "node:assert/strict";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { attributes, nested, repeated } from "../../src/netlink/attribute.ts";
import { address, be16, be32, netOrder, string, u16, u32, u8 } from "../../src/netlink/codec.ts";
import { MessageFormat } from "../../src/netlink/format.ts";
import { NetlinkError, NLM_F_CREATE, NLM_F_EXCL, type Request } from "../../src/netlink/message.ts";
import {
  ADDRESS,
  LINK,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_NEWADDR,
} from "../../src/netlink/route/formats.ts";
import {
  NETLINK_GENERIC,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NetlinkSocket,
} from "../../src/netlink/socket.ts";
import { requires } from "../requirements.ts";

/** A socket in a new namespace. */
function isolated(protocol: number): NetlinkSocket {
  using namespace = NetworkNamespace.create();
  return namespace.run(() => NetlinkSocket.open(protocol));
}

function addAddress(text: string): Request {
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: ADDRESS.encode({ family: 2, prefix: 32, index: 1 }, { local: text, address: text }),
    format: ADDRESS,
    what: `add ${text}`,
  };
}

Deno.test({
  ...requires("netlink socket: a request is answered, an unknown link refused", "root", "netns"),
  fn() {
    using socket = isolated(NETLINK_ROUTE);
    const get = (name: string) =>
      socket.request({ type: RTM_GETLINK, payload: LINK.encode({}, { name }), what: "get" });
    const [answer] = get("lo");
    assert.equal(LINK.decode(answer.payload).attributes.name, "lo");
    assert.equal(answer.port, socket.port);
    assert.throws(() => get("missing"), { name: "NetlinkError", code: "ENODEV" });
    assert.equal(get("lo").length, 1, "the socket goes on after a refusal");
  },
});

Deno.test({
  ...requires("netlink socket: a batch gives each request its own result", "root", "netns"),
  fn() {
    using socket = isolated(NETLINK_ROUTE);
    // More than one chunk; every seventh repeats the one before, the last one too.
    const requests = Array.from({ length: 701 }, (_, i) => {
      const n = i % 7 === 0 && i > 0 ? i - 1 : i;
      return addAddress(`10.0.${n >> 8}.${n & 255}`);
    });
    const results = socket.batch(requests);
    assert.equal(results.length, 701);
    for (const [i, result] of results.entries()) {
      assert.equal(result?.code, i % 7 === 0 && i > 0 ? "EEXIST" : undefined, `request ${i}`);
    }
    assert(results.at(-1) instanceof NetlinkError);
    const all = socket.batch(requests);
    assert(all.every((result) => result?.code === "EEXIST"), "all refused, no answer lost");
    assert.deepEqual(socket.batch([]), []);
  },
});

Deno.test({
  ...requires("netlink socket: who loses answers is told, and asks on", "root", "netns"),
  fn() {
    using namespace = NetworkNamespace.create();
    using socket = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE, { receiveBuffer: 4096 }));
    using other = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE));
    other.request(addAddress("10.0.0.1"));
    // Far more refusals than there is room for.
    const results = socket.batch(Array.from({ length: 256 }, () => addAddress("10.0.0.1")));
    const codes = new Set(results.map((result) => result?.code));
    assert(codes.has("ENOBUFS"), [...codes].join());
    assert.deepEqual([...codes.difference(new Set(["ENOBUFS", "EEXIST"]))], []);
    socket.request(addAddress("10.0.0.2"));
    assert.throws(() => other.request(addAddress("10.0.0.2")), { code: "EEXIST" });
  },
});

Deno.test({
  ...requires("netlink socket: a dump during which something changes begins anew", "root", "netns"),
  fn() {
    using namespace = NetworkNamespace.create();
    using socket = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE));
    using other = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE));
    // Several datagrams, each of which the kernel writes when the one before is fetched.
    other.batch(Array.from({ length: 2000 }, (_, i) => addAddress(`10.1.${i >> 8}.${i & 255}`)));
    const request = {
      type: RTM_GETADDR,
      payload: ADDRESS.encode({ family: 2 }, {}),
      what: "list addresses",
    };
    const read = (disturb: (step: number) => void) => {
      const steps = socket.dumpSteps(
        request,
        ({ payload }) => ADDRESS.decode(payload).attributes.local,
      );
      for (let step = 0;; step++) {
        const { done, value } = steps.next();
        if (done) return value;
        disturb(step);
      }
    };
    const found = read((step) => {
      if (step === 0) other.request(addAddress("10.2.0.0"));
    });
    assert.equal(new Set(found).size, 2001);
    assert.equal(found.length, 2001, "nothing of the first attempt");
    assert.throws(
      () => read((step) => other.request(addAddress(`10.3.${step >> 8}.${step & 255}`))),
      { code: "EINTR", message: "list addresses: EINTR (changed during each of 10 attempts)" },
    );
    assert(socket.dump(request).length > 2001, "the socket goes on");
  },
});

Deno.test({
  ...requires("netlink socket: events come in order and end with close", "root", "netns"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const events = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE));
    using socket = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE));
    assert.throws(() => events.subscribe([4000]), { name: "SystemError" });
    events.subscribe([5]);
    assert.throws(() => events.request(addAddress("10.0.0.9")), TypeError);
    assert.deepEqual(socket.batch([addAddress("10.0.0.1"), addAddress("10.0.0.2")]), [null, null]);
    const seen: string[] = [];
    for await (const event of events.events()) {
      assert(event.kind === "message");
      assert.equal(event.message.port, socket.port, "the event names the port that caused it");
      seen.push(ADDRESS.decode(event.message.payload).attributes.local ?? "");
      if (seen.length === 2) setTimeout(() => socket.request(addAddress("10.0.0.3")), 5);
      // The third comes while the loop waits; closing then ends it from outside.
      if (seen.length === 3) setTimeout(() => events.close(), 5);
    }
    assert.deepEqual(seen, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    events.close();
  },
});

Deno.test({
  ...requires("netlink socket: lost events are told", "root", "netns"),
  async fn() {
    using namespace = NetworkNamespace.create();
    using events = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE, { receiveBuffer: 4096 }));
    using socket = namespace.run(() => NetlinkSocket.open(NETLINK_ROUTE));
    events.subscribe([5]);
    socket.batch(Array.from({ length: 300 }, (_, i) => addAddress(`10.0.${i >> 8}.${i & 255}`)));
    const kinds = new Set<string>();
    for await (const event of events.events()) {
      kinds.add(event.kind);
      if (event.kind === "overrun") break;
    }
    assert(kinds.has("overrun"));
  },
});

Deno.test("netlink socket: a family that the kernel lacks is refused", () => {
  assert.throws(() => NetlinkSocket.open(31), { name: "SystemError", code: "EPROTONOSUPPORT" });
});

Deno.test("netlink socket: a closed socket says so", () => {
  const socket = NetlinkSocket.open(NETLINK_ROUTE);
  socket.close();
  socket.close();
  assert.throws(() => socket.batch([addAddress("10.0.0.1")]), { code: "EBADF" });
});

Deno.test("netlink socket: generic netlink resolves a family", () => {
  const control = new MessageFormat(
    { command: u8, version: u8, reserved: u16 },
    attributes({ id: [1, u16], name: [2, string] }),
  );
  using socket = NetlinkSocket.open(NETLINK_GENERIC);
  const ask = (name: string) =>
    socket.request({
      type: 16,
      payload: control.encode({ command: 3, version: 1 }, { name }),
      format: control,
      what: `resolve ${name}`,
    });
  assert.equal(control.decode(ask("nlctrl")[0].payload).attributes.id, 16);
  assert.throws(() => ask("no-such-family"), { code: "ENOENT" });
});

Deno.test({
  ...requires("netlink socket: ipset speaks the same codec", "root", "netns", "ip_set"),
  fn() {
    const ip = nested(attributes({ v4: [1, netOrder(address)] }));
    const element = attributes({ ip: [1, ip], port: [4, netOrder(be16)], protocol: [7, u8] });
    const create = attributes({ maximum: [19, netOrder(be32)] });
    const header = { family: u8, version: u8, resource: be16 };
    const common = { protocol: [1, u8], set: [2, string], flags: [6, u32] } as const;
    const CREATE = new MessageFormat(
      header,
      attributes({
        ...common,
        type: [3, string],
        revision: [4, u8],
        family: [5, u8],
        data: [7, nested(create)],
      }),
    );
    const elements = nested(attributes({ items: [7, repeated(nested(element))] }));
    const ADD = new MessageFormat(
      header,
      attributes({ ...common, elements: [8, elements], line: [9, u32] }),
    );
    using socket = isolated(NETLINK_NETFILTER);
    const set = { protocol: 6, set: "backends" };
    socket.request({
      type: 6 << 8 | 2,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      payload: CREATE.encode({ family: 2 }, {
        ...set,
        type: "hash:ip,port",
        revision: 0,
        family: 2,
        data: { maximum: 5000 },
      }),
    });
    const items = Array.from({ length: 1000 }, (_, i) => ({
      ip: { v4: `10.0.${i >> 8}.${i & 255}` },
      port: 80,
      protocol: 6,
    }));
    socket.request({
      type: 6 << 8 | 9,
      flags: NLM_F_EXCL,
      payload: ADD.encode({ family: 2 }, { ...set, elements: { items }, line: 0 }),
    });
    const listed = socket.dump({
      type: 6 << 8 | 7,
      payload: ADD.encode({ family: 2 }, { ...set }),
    }).flatMap((message) => ADD.decode(message.payload).attributes.elements?.items ?? []);
    const text = (list: typeof items) => list.map(({ ip, port }) => `${ip.v4},${port}`).sort();
    assert.deepEqual(text(listed as typeof items), text(items));
  },
});

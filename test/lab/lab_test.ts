import assert from "node:assert/strict";
import { Lab } from "../../src/lab/lab.ts";
import { payloadSha256 } from "../../src/lab/payload.ts";
import type { Outcome, Target } from "../../src/lab/probe.ts";
import type { Server } from "../../src/lab/topology.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { hostNetwork, networkNamespacesOf } from "./host.ts";

const PORTS: Server["ports"] = [{ protocol: "TCP", port: 9376 }, { protocol: "UDP", port: 5353 }];

function pod(n: number, rest: Partial<Server> = {}): Server {
  return {
    name: `default/web-${n}`,
    hostname: `web-${n}`,
    addresses: [`10.244.3.${n}`, `fd00:10:244::${n}`],
    ports: PORTS,
    ...rest,
  };
}

const tcp = (address: string, port = 9376): Target => ({ address, port, protocol: "TCP" });
const udp = (address: string, port = 5353): Target => ({ address, port, protocol: "UDP" });
const said = (outcomes: readonly Outcome[]) =>
  outcomes.map((outcome) => outcome.kind === "answer" ? outcome.pod : outcome.kind);

async function withLab(fn: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await Lab.start();
  try {
    await fn(lab);
  } finally {
    await lab.stop();
  }
}

Deno.test({
  ...requires("pods answer everyone with their names, over TCP and UDP, IPv4 and IPv6", "netns"),
  fn: () =>
    withLab(async (lab) => {
      assert.deepEqual(await lab.setServers([pod(1), pod(2)]), []);
      assert.deepEqual(lab.namespaces.map(({ name }) => name), [
        "node",
        "client",
        "stranger",
        "default/web-1",
        "default/web-2",
      ]);
      for (const from of ["client", "stranger", "node", "web-2"]) {
        for (const address of pod(1).addresses) {
          assert.deepEqual(said(await lab.probe(from, tcp(address), { count: 2 })), [
            "web-1",
            "web-1",
          ], `${from} to ${address}`);
          assert.deepEqual(said(await lab.probe(from, udp(address))), ["web-1"]);
        }
      }
      assert.equal(lab.nameAt("fd00:10:244::2"), "web-2");
      const info = JSON.parse(await lab.fetchText("client", "http://10.244.3.2:9376/info"));
      assert.deepEqual({ ...info, client: info.client.address }, {
        pod: "web-2",
        address: "10.244.3.2",
        port: 9376,
        client: "192.168.50.100",
      });
    }),
});

Deno.test({
  ...requires("a closed port refuses at once, TCP and UDP; nobody is unreachable", "netns"),
  fn: () =>
    withLab(async (lab) => {
      await lab.setServers([pod(1, { ports: [{ protocol: "TCP", port: 9376 }] })]);
      for (const target of [tcp("10.244.3.1", 1), udp("10.244.3.1"), udp("fd00:10:244::1")]) {
        const [outcome] = await lab.probe("client", target);
        assert.equal(outcome.kind, "refused", JSON.stringify(target));
      }
      const [unreachable] = await lab.probe("client", tcp("10.99.99.99"));
      assert.ok(unreachable.kind === "failed" && /unreachable/i.test(unreachable.message));
    }),
});

Deno.test({
  ...requires("pods come and go; those that stay keep their connections", "netns"),
  fn: () =>
    withLab(async (lab) => {
      await lab.setServers([pod(1), pod(2)]);
      const bytes = 40_000_000;
      const download = lab.download("client", "http://10.244.3.1:9376", bytes);
      await lab.setServers([pod(1), pod(3)]);
      await lab.setServers([pod(3), pod(1), pod(2, { addresses: ["10.244.3.22"] })]);
      assert.deepEqual(await download, { bytes, sha256: payloadSha256(bytes) });
      assert.deepEqual(said(await lab.probe("client", tcp("10.244.3.3"))), ["web-3"]);
      assert.deepEqual(said(await lab.probe("client", tcp("10.244.3.22"))), ["web-2"]);
      assert.deepEqual(said(await lab.probe("client", tcp("10.244.3.2"))), ["failed"]);
      // A thread that dialled from a pod that was replaced dials from the new one.
      assert.deepEqual(said(await lab.probe("web-2", tcp("10.244.3.3"))), ["web-3"]);
      const cut = lab.download("web-2", "http://10.244.3.1:9376", 2 ** 33);
      await lab.setServers([pod(1), pod(2, { addresses: ["10.244.3.23"] })]);
      await assert.rejects(cut, /default\/web-2 is gone from the lab/);
      assert.deepEqual(said(await lab.probe("web-2", tcp("10.244.3.1"))), ["web-1"]);
    }),
});

Deno.test({
  ...requires("what cannot be had is told and leaves the rest working", "netns"),
  fn: () =>
    withLab(async (lab) => {
      const problems = await lab.setServers([
        pod(1),
        pod(2, { addresses: ["10.244.3.1"] }),
        pod(3, { ports: [{ protocol: "SCTP", port: 7 }, { protocol: "TCP", port: 80 }] }),
        pod(4, { addresses: ["192.168.50.10"], ports: [{ protocol: "TCP", port: 9100 }] }),
      ]);
      assert.deepEqual(problems, [
        "default/web-2: its address 10.244.3.1 is already default/web-1's",
        "default/web-3: cannot serve SCTP 10.244.3.3:7: the lab's pods do not speak SCTP",
        "default/web-3: cannot serve SCTP [fd00:10:244::3]:7: the lab's pods do not speak SCTP",
      ]);
      assert.deepEqual(said(await lab.probe("client", tcp("10.244.3.1"))), ["web-1"]);
      assert.deepEqual(said(await lab.probe("client", tcp("10.244.3.3", 80))), ["web-3"]);
      // A pod on the node's network.
      assert.deepEqual(said(await lab.probe("client", tcp("192.168.50.10", 9100))), ["web-4"]);
      await assert.rejects(lab.probe("nobody", tcp("10.244.3.1")), /nothing in the lab is called/);
    }),
});

Deno.test({
  ...requires("100 MB up and down one connection, and 500 connections at once", "netns"),
  fn: () =>
    withLab(async (lab) => {
      await lab.setServers([pod(1)]);
      const bytes = 100_000_000;
      const expected = { bytes, sha256: payloadSha256(bytes) };
      assert.deepEqual(await lab.download("client", "http://10.244.3.1:9376", bytes), expected);
      assert.deepEqual(await lab.upload("client", "http://10.244.3.1:9376", bytes), expected);
      const options = { count: 500, concurrency: 500, timeoutMs: 60_000 };
      const outcomes = await lab.probe("client", tcp("10.244.3.1"), options);
      assert.deepEqual(new Set(said(outcomes)), new Set(["web-1"]));
      assert.equal(outcomes.length, 500);
    }),
});

Deno.test({
  ...requires("the host's network is the same before, during and after", "netns", "find"),
  fn: async () => {
    const before = hostNetwork();
    const namespaces = networkNamespacesOf(Deno.pid);
    await withLab(async (lab) => {
      await lab.setServers([pod(1), pod(2)]);
      assert.deepEqual(said(await lab.probe("client", tcp("10.244.3.1"))), ["web-1"]);
      assert.deepEqual(hostNetwork(), before);
    });
    assert.deepEqual(hostNetwork(), before);
    // The threads that were in the lab end a moment after they were told to, as do those of the
    // tests before this one.
    const left = () => networkNamespacesOf(Deno.pid).filter((one) => !namespaces.includes(one));
    await until(() => left().length === 0, "no namespace is left");
  },
});

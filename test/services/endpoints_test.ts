import assert from "node:assert/strict";
import fc from "fast-check";
import type { EndpointSlice } from "../../src/cluster/objects.ts";
import { FAMILIES, type Family, formatSocketAddress } from "../../src/net/address.ts";
import { countReadyAddresses, mergeEndpoints } from "../../src/services/endpoints.ts";
import { describeSlice } from "../../src/services/slices.ts";
import { endpoint, slice } from "./objects.ts";

function infos(...slices: EndpointSlice[]) {
  return new Map(slices.map((each) => [each.metadata.name, describeSlice(each, FAMILIES)!]));
}

const UNNAMED = { portName: "", protocol: "TCP", family: "IPv4" } as const;

Deno.test("endpoints are sorted by address:port as bytes, so a longer address may come first", () => {
  const merged = mergeEndpoints(
    infos(
      slice("web", ["10.1.1.1", "10.2.2.2", "10.1.1.11"], { suffix: "b", ports: [{ port: 11 }] }),
      slice("web", ["10.2.2.22", "10.1.1.1"], { suffix: "a", ports: [{ port: 9 }] }),
    ),
    UNNAMED,
  );
  assert.deepEqual(merged.map(({ address, port }) => `${address}:${port}`), [
    "10.1.1.11:11",
    "10.1.1.1:11",
    "10.1.1.1:9",
    "10.2.2.22:9",
    "10.2.2.2:11",
  ]);
});

/** Addresses of which some are the beginning of others. */
const ADDRESSES: Readonly<Record<Family, readonly string[]>> = {
  IPv4: ["10.1.1.1", "10.1.1.11", "10.1.1.110", "10.1.1.2", "9.1.1.1", "10.1.1.10"],
  IPv6: ["fd00::", "fd00::1", "fd00::1a", "fd00::12", "fd00::1:2", "fd00::a", "fe00::", "2::"],
};

Deno.test("endpoints are merged as a map by their texts would have them", () => {
  const scenario = fc.constantFrom(...FAMILIES).chain((family) =>
    fc.record({
      family: fc.constant(family),
      slices: fc.array(
        fc.record({
          port: fc.constantFrom(9, 80, 800, 8080),
          endpoints: fc.array(
            fc.tuple(
              fc.constantFrom(...ADDRESSES[family]),
              fc.constantFrom("ready", "notReady", "draining", "dead"),
            ),
            { maxLength: 6 },
          ),
        }),
        { maxLength: 4 },
      ),
    })
  );
  fc.assert(
    fc.property(scenario, ({ family, slices }) => {
      const all = slices.map(({ port, endpoints }, i) =>
        slice("web", endpoints.map(([address, state]) => endpoint(address, state)), {
          suffix: String(i),
          addressType: family,
          ports: [{ port }],
        })
      );
      const expected = new Map<string, string>();
      for (const { port, endpoints } of slices) {
        for (const [address, state] of endpoints) {
          const key = formatSocketAddress(address, port);
          const terminates = state === "draining" || state === "dead";
          if (!terminates || !expected.has(key)) expected.set(key, state);
        }
      }
      const merged = mergeEndpoints(infos(...all), { portName: "", protocol: "TCP", family });
      assert.deepEqual(
        merged.map(({ address, port, ready, serving, terminating }) => [
          formatSocketAddress(address, port),
          terminating ? serving ? "draining" : "dead" : ready ? "ready" : "notReady",
        ]),
        [...expected].sort(([a], [b]) => a < b ? -1 : 1),
      );
    }),
    { numRuns: 1000 },
  );
});

Deno.test("slices are joined by port name, protocol and family", () => {
  const slices = infos(
    slice("web", ["10.0.0.1"], {
      suffix: "1",
      ports: [{ name: "p", port: 1 }, { name: "p", port: 2, protocol: "UDP" }, { port: 3 }],
    }),
    slice("web", ["fd00::1"], {
      suffix: "2",
      addressType: "IPv6",
      ports: [{ name: "p", port: 4 }],
    }),
  );
  const ports = (portName: string, protocol: "TCP" | "UDP" | "SCTP", family: "IPv4" | "IPv6") =>
    mergeEndpoints(slices, { portName, protocol, family }).map((each) => each.port);
  assert.deepEqual(ports("p", "TCP", "IPv4"), [1]);
  assert.deepEqual(ports("p", "UDP", "IPv4"), [2]);
  assert.deepEqual(ports("", "TCP", "IPv4"), [3]);
  assert.deepEqual(ports("p", "TCP", "IPv6"), [4]);
  assert.deepEqual(ports("p", "SCTP", "IPv4"), []);
});

Deno.test("of duplicates the last counts, but a terminating one replaces nothing", () => {
  const states = (
    first: Parameters<typeof endpoint>[1],
    second: Parameters<typeof endpoint>[1],
  ) => {
    // Named so that the slice seen first is the later one by name.
    const slices = infos(
      slice("web", [endpoint("10.0.0.1", second, { node: "second" })], { suffix: "2" }),
      slice("web", [endpoint("10.0.0.1", first, { node: "first" })], { suffix: "1" }),
    );
    return mergeEndpoints(slices, UNNAMED).map(({ node }) => node);
  };
  assert.deepEqual(states("ready", "ready"), ["second"]);
  assert.deepEqual(states("ready", "notReady"), ["second"]);
  assert.deepEqual(states("ready", "draining"), ["first"]);
  assert.deepEqual(states("draining", "ready"), ["second"]);
  assert.deepEqual(states("draining", "dead"), ["first"]);
});

Deno.test("the local count is of distinct ready addresses on the node, over all ports", () => {
  const count = (...slices: EndpointSlice[]) => countReadyAddresses(infos(...slices), "here");
  const ports = [{ name: "a", port: 1 }, { name: "b", port: 2, protocol: "UDP" as const }];
  const local = { node: "here" };
  assert.equal(count(), 0);
  assert.equal(
    count(
      slice("web", [
        endpoint("10.0.0.1", "ready", local),
        endpoint("10.0.0.2", "ready", local),
        endpoint("10.0.0.3", "ready", { node: "there" }),
        endpoint("10.0.0.4", "ready"),
        endpoint("10.0.0.5", "notReady", local),
        endpoint("10.0.0.6", "draining", local),
      ], { ports, suffix: "1" }),
      slice("web", [endpoint("10.0.0.1", "ready", local)], { suffix: "2" }),
    ),
    2,
  );
  assert.equal(count(slice("web", [endpoint("10.0.0.6", "draining", local)])), 0);
  const both = (...addresses: string[]) =>
    slice("web", addresses.map((address) => endpoint(address, "ready", local)), {
      ...(addresses[0].includes(":") ? { addressType: "IPv6", suffix: "6" } : {}),
    });
  assert.equal(count(both("10.0.0.1", "10.0.0.2"), both("fd00::1", "fd00::2")), 2, "as many pods");
  assert.equal(count(both("10.0.0.1"), both("fd00::1", "fd00::2")), 2);
  assert.equal(countReadyAddresses(infos(slice("web", [endpoint("10.0.0.1")])), ""), 0);
});

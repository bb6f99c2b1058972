import assert from "node:assert/strict";
import { FlowError, parseFlows, parseFlowWords } from "../../src/explain/flows.ts";

const refused = (call: () => unknown, message: string) =>
  assert.throws(call, (error) => {
    assert(error instanceof FlowError);
    assert.equal(error.message, message);
    return true;
  });

Deno.test("a flows file is read, addresses canonical and names by number where absent", () => {
  const flows = parseFlows(
    JSON.stringify([
      { name: "a", source: "10.0.0.1", dest: "172.30.0.041", port: 80, protocol: "TCP" },
      { source: "FD00::1", sourcePort: 99, dest: "fd00:0::2", port: 65535, protocol: "udp" },
    ]),
    "flows.json",
  );
  assert.deepEqual(flows, [
    { name: "a", source: "10.0.0.1", dest: "172.30.0.41", port: 80, protocol: "TCP" },
    { name: "1", source: "fd00::1", sourcePort: 99, dest: "fd00::2", port: 65535, protocol: "UDP" },
  ]);
});

Deno.test("the first mistake of a flows file is one line with file, index and field", () => {
  const good = { name: "a", source: "10.0.0.1", dest: "10.0.0.2", port: 80, protocol: "TCP" };
  const cases: [unknown, string][] = [
    [{}, "f: expected an array of flows"],
    [[good, 5], "f: flow 1: expected an object with name, source, dest, port and protocol"],
    [[{ ...good, name: 5 }], "f: flow 0: name: expected a text"],
    [[{ ...good, source: "10.0.0" }], "f: flow 0: source: expected an IP address"],
    [[{ ...good, source: undefined }], "f: flow 0: source: expected an IP address"],
    [[{ ...good, dest: 7 }], "f: flow 0: dest: expected an IP address"],
    [[good, good, { ...good, port: 0 }], "f: flow 2: port: expected a port from 1 to 65535"],
    [[{ ...good, port: 65536 }], "f: flow 0: port: expected a port from 1 to 65535"],
    [[{ ...good, port: "80" }], "f: flow 0: port: expected a port from 1 to 65535"],
    [[{ ...good, port: 80.5 }], "f: flow 0: port: expected a port from 1 to 65535"],
    [[{ ...good, protocol: "ICMP" }], "f: flow 0: protocol: expected TCP, UDP or SCTP"],
    [
      [{ ...good, state: "OLD" }],
      "f: flow 0: state: expected NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED",
    ],
    [
      [{ ...good, dest: "fd00::1" }],
      "f: flow 0: dest: expected an address of the same family as source",
    ],
  ];
  for (const [value, message] of cases) {
    refused(() => parseFlows(JSON.stringify(value), "f"), message);
  }
  assert.throws(() => parseFlows("[{", "f"), /^FlowError: f: not JSON: [^\n]+$/);
});

Deno.test("the command line's words", () => {
  assert.deepEqual(parseFlowWords("10.0.0.1", "10.0.1.175:80/TCP"), {
    name: "10.0.0.1 10.0.1.175:80/TCP",
    source: "10.0.0.1",
    dest: "10.0.1.175",
    port: 80,
    protocol: "TCP",
  });
  assert.deepEqual(parseFlowWords("[fd00::1]:5", "[fd00::2]:53/udp"), {
    name: "[fd00::1]:5 [fd00::2]:53/udp",
    source: "fd00::1",
    sourcePort: 5,
    dest: "fd00::2",
    port: 53,
    protocol: "UDP",
  });
  assert.equal(parseFlowWords("fd00::1", "[fd00::2]:53/UDP").source, "fd00::1");
  const target = "10.0.0.2:80/TCP";
  const cases: [string, string, string][] = [
    ["10.0.0", target, "10.0.0: expected an IP address"],
    ["10.0.0.1:x", target, "10.0.0.1:x: expected a port from 1 to 65535"],
    ["10.0.0.1", "10.0.0.2:80", "10.0.0.2:80: expected ADDRESS:PORT/PROTOCOL"],
    ["10.0.0.1", "10.0.0.2/TCP", "10.0.0.2/TCP: expected ADDRESS:PORT/PROTOCOL"],
    ["10.0.0.1", "10.0.0.2:0/TCP", "10.0.0.2:0/TCP: expected a port from 1 to 65535"],
    ["10.0.0.1", "10.0.0.2:80/ICMP", "10.0.0.2:80/ICMP: expected TCP, UDP or SCTP"],
    ["10.0.0.1", "host:80/TCP", "host:80/TCP: expected an IP address"],
    [
      "10.0.0.1",
      "[fd00::1]:80/TCP",
      "[fd00::1]:80/TCP: expected an address of the same family as 10.0.0.1",
    ],
  ];
  for (const [source, dest, message] of cases) refused(() => parseFlowWords(source, dest), message);
});

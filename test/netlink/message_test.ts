import assert from "node:assert/strict";
import fc from "fast-check";
import { attributes } from "../../src/netlink/attribute.ts";
import { string, u16, u32, u8 } from "../../src/netlink/codec.ts";
import { MessageFormat } from "../../src/netlink/format.ts";
import {
  type Message,
  MESSAGE_HEADER_SIZE,
  NetlinkError,
  NLM_F_ACK,
  parseAck,
  parseMessages,
  type Request,
  writeRequest,
} from "../../src/netlink/message.ts";
import { LINK } from "../../src/netlink/route/formats.ts";
import { Writer } from "../../src/netlink/writer.ts";
import { datagrams, FIXTURES, readOrRefused, recorded } from "./fixture.ts";

function ack(name: string): Message {
  return [...parseMessages(datagrams(name)[0])][0];
}

Deno.test("messages: requests are framed and aligned, one after another", () => {
  const out = new Writer(4);
  writeRequest(out, { type: 16, payload: Uint8Array.of(1, 2, 3) }, NLM_F_ACK, 7);
  writeRequest(out, { type: 17, payload: Uint8Array.of() }, 0, 8);
  assert.equal(
    out.written.toHex(),
    "13000000" + "1000" + "0500" + "07000000" + "00000000" + "01020300" +
      "10000000" + "1100" + "0100" + "08000000" + "00000000",
  );
  const messages = [...parseMessages(out.written)];
  assert.deepEqual(messages.map((m) => [m.type, m.flags, m.sequence, m.payload.toHex()]), [
    [16, 5, 7, "010203"],
    [17, 1, 8, ""],
  ]);
});

Deno.test("messages: an acknowledgement is no error", () => {
  assert.equal(parseAck(ack("acknowledgement"), { type: 16, payload: new Uint8Array() }), null);
});

Deno.test("messages: a refusal carries the kernel's text", () => {
  const error = parseAck(ack("refused-mtu"), {
    type: 16,
    payload: new Uint8Array(),
    what: "set MTU 1 of link eth0",
  });
  assert(error instanceof NetlinkError);
  assert.equal(error.errno, 22);
  assert.equal(error.code, "EINVAL");
  assert.equal(
    error.message,
    "set MTU 1 of link eth0: EINVAL (mtu less than device minimum)",
  );
});

Deno.test("messages: a refusal names the attribute that the kernel points at", () => {
  const request: Request = {
    type: 16,
    payload: LINK.encode({ flags: 1, change: 1 }, { name: "a-name-that-is-too-long1" }),
    format: LINK,
    what: "set up",
  };
  const error = parseAck(ack("refused-name"), request);
  assert.equal(error?.code, "ERANGE");
  assert.equal(error?.extended.attribute, "name");
  const undescribed = parseAck(ack("refused-name"), { type: 16, payload: request.payload });
  assert.equal(undescribed?.extended.attribute, "byte 32");
});

Deno.test("messages: a recorded reply of generic netlink is read by its description", () => {
  const family = new MessageFormat(
    { command: u8, version: u8, reserved: u16 },
    attributes({ id: [1, u16], name: [2, string], version: [3, u32], largest: [5, u32] }),
  );
  const { header, attributes: values } = family.decode(recorded("generic-family")[0].payload);
  assert.deepEqual(header, { command: 1, version: 2, reserved: 0 });
  assert.equal(values.name, "nlctrl");
  assert.equal(values.id, 16);
});

Deno.test("messages: headers are written in order, absent fields are zero", () => {
  const format = new MessageFormat({ a: u8, b: u8, c: u16, d: u8 }, attributes({ e: [1, u8] }));
  assert.equal(format.headerSize, 5);
  const written = format.encode({ b: 2, d: 4 }, { e: 5 });
  assert.equal(written.toHex(), "0002000004000000" + "0500010005000000");
  assert.deepEqual(format.decode(written), {
    header: { a: 0, b: 2, c: 0, d: 4 },
    attributes: { e: 5 },
  });
  assert.throws(() => format.decode(written.subarray(0, 4)), NetlinkError);
  assert.deepEqual(format.decode(written.subarray(0, 5)).attributes, {});
  assert.equal(format.locate(written, 1), "b");
  assert.equal(format.locate(written, 8), "e");
});

Deno.test("messages: lengths outside the datagram are refused", () => {
  for (const length of [0, 15, 17, 0xffffffff]) {
    const datagram = new Uint8Array(MESSAGE_HEADER_SIZE);
    new DataView(datagram.buffer).setUint32(0, length, true);
    assert.throws(() => [...parseMessages(datagram)], NetlinkError, `length ${length}`);
  }
});

Deno.test("messages: recorded ones with any bytes changed are read or refused", () => {
  const all = FIXTURES.flatMap(datagrams);
  const request: Request = {
    type: 16,
    payload: LINK.encode({}, { name: "eth0", info: { kind: "veth" } }),
    format: LINK,
  };
  fc.assert(
    fc.property(
      fc.constantFrom(...all),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.nat(),
      (original, changes, cut) => {
        const changed = original.slice(0, original.length - cut % 8);
        for (const [place, value] of changes) {
          changed[place % Math.min(changed.length, 300)] = value;
        }
        readOrRefused(() => {
          for (const message of parseMessages(changed)) {
            parseAck(message, request);
            LINK.decode(message.payload);
          }
        });
      },
    ),
    { numRuns: 3000 },
  );
});

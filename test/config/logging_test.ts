import assert from "node:assert/strict";
import type { LogRecord } from "@logtape/logtape";
import { formatJsonRecord, formatTextRecord, isShown } from "../../src/config/logging.ts";

const record: LogRecord = {
  category: ["switchyard", "agent"],
  level: "warning",
  message: ["", "first\nsecond", " happened"],
  rawMessage: "{line} happened",
  properties: { line: "first\nsecond" },
  timestamp: 0,
};

Deno.test("a log record is one line, whatever is in it", () => {
  assert.equal(
    formatTextRecord(record),
    "1970-01-01T00:00:00.000Z WARN agent: first\\nsecond happened\n",
  );
  const json = formatJsonRecord(record);
  assert.equal(json.indexOf("\n"), json.length - 1);
  assert.deepEqual(JSON.parse(json), {
    ts: 0,
    level: "warning",
    logger: "agent",
    msg: "first\nsecond happened",
    line: "first\nsecond",
  });
});

Deno.test("JSON has the fields of the Kubernetes components, which nothing in a message replaces", () => {
  const properties = { error: "refused", msg: "mine", ts: "mine" };
  const failed = JSON.parse(formatJsonRecord({ ...record, level: "error", properties }));
  assert.equal(failed.err, "refused");
  assert.equal(failed.msg, "first\nsecond happened");
  assert.equal(failed.ts, 0);
  assert.ok(!Object.hasOwn(failed, "v"), "errors are seen at any verbosity");
  assert.equal(JSON.parse(formatJsonRecord({ ...record, level: "info" })).v, 0);
  assert.equal(JSON.parse(formatJsonRecord({ ...record, level: "debug" })).v, 4);
});

Deno.test("debugging is seen from -v 4, or as --vmodule says of the part", () => {
  const shown = (verbosity: number, pattern?: string, own = 0) =>
    isShown({ ...record, category: ["switchyard", "dataplane", "iptables"], level: "debug" }, {
      format: "text",
      verbosity,
      byPart: pattern === undefined ? [] : [{ pattern, verbosity: own }],
    });
  assert.ok(!shown(3));
  assert.ok(shown(4));
  assert.ok(shown(0, "dataplane.*", 4));
  assert.ok(shown(0, "data*iptable?", 5));
  assert.ok(!shown(0, "dataplane", 4), "the whole name has to match");
  assert.ok(!shown(0, "dataplane?iptable", 4));
  assert.ok(!shown(5, "dataplane.*", 0), "its own word is the last one");
  assert.ok(isShown(record, { format: "text", verbosity: 0, byPart: [] }));
});

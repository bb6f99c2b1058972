import assert from "node:assert/strict";
import type { LogRecord } from "@logtape/logtape";
import { formatJsonRecord, formatTextRecord } from "../../src/config/logging.ts";

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
    time: "1970-01-01T00:00:00.000Z",
    level: "WARN",
    part: "agent",
    message: "first\nsecond happened",
    properties: { line: "first\nsecond" },
  });
});

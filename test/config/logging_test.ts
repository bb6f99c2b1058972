import assert from "node:assert/strict";
import { formatTextRecord } from "../../src/config/logging.ts";

Deno.test("a log record is one line, whatever is in it", () => {
  const line = formatTextRecord({
    category: ["switchyard", "agent"],
    level: "warning",
    message: ["a.yaml: ", "first\nsecond", ""],
    rawMessage: "",
    properties: {},
    timestamp: 0,
  });
  assert.equal(line, "1970-01-01T00:00:00.000Z WARN agent: a.yaml: first\\nsecond\n");
});

import assert from "node:assert/strict";
import { Pump } from "../../../src/dataplane/userspace/pump.ts";
import { close, O_RDONLY, open } from "../../../src/linux/libc.ts";
import { Bench } from "../../engine/harness.ts";
import { buildPacket } from "../../engine/packets.ts";

Deno.test("what the kernel does not take is counted by its reason", () => {
  const { engine } = new Bench([{ backends: ["10.60.0.2:8080"] }]);
  const file = Deno.makeTempFileSync();
  try {
    const client = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };
    Deno.writeFileSync(file, buildPacket(client));
    // It can be read like a device that has one packet, and not be written to.
    const fd = open(file, O_RDONLY);
    const pump = new Pump(engine, fd);
    assert.deepEqual(pump.refused, {});
    assert.equal(pump.run(1000), 1);
    assert.equal(pump.run(1000), 0);
    assert.deepEqual(pump.refused, { write_ebadf: 1 });
    close(fd);
  } finally {
    Deno.removeSync(file);
  }
});

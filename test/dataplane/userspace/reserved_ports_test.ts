import assert from "node:assert/strict";
import {
  releasePorts,
  reservePorts,
  withoutRange,
  withRange,
} from "../../../src/dataplane/userspace/reserved_ports.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { readSysctl, writeSysctl } from "../../../src/linux/sysctl.ts";
import { requires } from "../../requirements.ts";

const PORTS = { first: 61000, last: 65534 };

Deno.test("a range is added to a list unless it is there, and taken out as it is", () => {
  assert.equal(withRange("", PORTS), "61000-65534");
  assert.equal(withRange("8080,9000-9010", PORTS), "8080,9000-9010,61000-65534");
  assert.equal(withRange("8080,60000-65535", PORTS), null);
  assert.equal(withRange("62000-65535", PORTS), "62000-65535,61000-65534");
  assert.equal(withoutRange("61000-65534", PORTS), "");
  assert.equal(withoutRange("8080,9000-9010,61000-65534", PORTS), "8080,9000-9010");
  assert.equal(withoutRange("60000-65534", PORTS), null);
  assert.equal(withoutRange("", PORTS), null);
});

Deno.test({
  ...requires("reserved ports are given back, after a crash too", "root", "netns"),
  fn() {
    using namespace = NetworkNamespace.create();
    namespace.run(() => {
      const name = "net.ipv4.ip_local_reserved_ports";
      const list = () => readSysctl(name);
      for (const before of ["", "8080", "8080,60990-61100"]) {
        writeSysctl(name, before);
        const release = reservePorts(PORTS);
        assert.notEqual(list(), before);
        release();
        assert.equal(list(), before);
      }
      // One that was killed gives nothing back; the next one does.
      writeSysctl(name, "8080");
      reservePorts(PORTS);
      reservePorts(PORTS)();
      assert.equal(list(), "8080");
      // Others may change the list meanwhile.
      const release = reservePorts(PORTS);
      writeSysctl(name, "7,8080,61000-65534");
      release();
      assert.equal(list(), "7,8080");
      releasePorts(PORTS);
      assert.equal(list(), "7,8080");
    });
  },
});

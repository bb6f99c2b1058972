import assert from "node:assert/strict";
import {
  releasePorts,
  reservePorts,
  withoutRanges,
  withRanges,
} from "../../../src/dataplane/userspace/reserved_ports.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { readSysctl, writeSysctl } from "../../../src/linux/sysctl.ts";
import { requires } from "../../requirements.ts";

const PORTS = [{ first: 30000, last: 32767 }, { first: 61000, last: 65534 }];
const OURS = "30000-32767,61000-65534";

Deno.test("ranges are added to a list unless they are there, and taken out as they are", () => {
  assert.equal(withRanges("", PORTS), OURS);
  assert.equal(withRanges("8080,9000-9010", PORTS), `8080,9000-9010,${OURS}`);
  assert.equal(withRanges("8080,29000-65535", PORTS), "8080,29000-65535");
  assert.equal(withRanges("62000-65535", PORTS), `62000-65535,${OURS}`);
  assert.equal(withoutRanges(OURS, PORTS), "");
  assert.equal(withoutRanges("8080,9000-9010,61000-65534", PORTS), "8080,9000-9010");
  assert.equal(withoutRanges("30000-32768", PORTS), "30000-32768");
  assert.equal(withoutRanges("", PORTS), "");
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
      writeSysctl(name, `7,8080,${OURS}`);
      release();
      assert.equal(list(), "7,8080");
      releasePorts(PORTS);
      assert.equal(list(), "7,8080");
    });
  },
});

import assert from "node:assert/strict";
import { SystemError } from "../../src/linux/libc.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { readSysctl, sysctlPath, writeSysctl } from "../../src/linux/sysctl.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { requires } from "../requirements.ts";

Deno.test("sysctl: the first separator decides what the others mean", () => {
  assert.equal(sysctlPath("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
  assert.equal(sysctlPath("net/ipv4/ip_forward"), "/proc/sys/net/ipv4/ip_forward");
  assert.equal(
    sysctlPath("net/ipv4/conf/eth0.5/rp_filter"),
    "/proc/sys/net/ipv4/conf/eth0.5/rp_filter",
  );
  assert.equal(
    sysctlPath("net.ipv4.conf.eth0/5.rp_filter"),
    "/proc/sys/net/ipv4/conf/eth0.5/rp_filter",
  );
});

Deno.test("sysctl: names that leave /proc/sys are refused", () => {
  for (const name of ["", "net..ipv4", "/etc/passwd", "net/../../etc/passwd", "a/\0", "net/"]) {
    assert.throws(() => sysctlPath(name), TypeError, JSON.stringify(name));
  }
});

Deno.test("sysctl: an unknown parameter reads as null and cannot be written", () => {
  assert.equal(readSysctl("net.ipv4.no_such_parameter"), null);
  assert.throws(() => writeSysctl("net.ipv4.no_such_parameter", 1), SystemError);
});

Deno.test({
  ...requires("sysctl: parameters are the namespace's, with dots in link names", "root", "netns"),
  fn() {
    const before = readSysctl("net.ipv4.ip_forward");
    using namespace = NetworkNamespace.create();
    namespace.run(() => {
      using net = Rtnetlink.open();
      net.links.createBridge({ name: "br0.5" });
      writeSysctl("net.ipv4.ip_forward", before === "1" ? 0 : 1);
      assert.notEqual(readSysctl("net.ipv4.ip_forward"), before);
      writeSysctl("net/ipv4/conf/br0.5/rp_filter", "2");
      assert.equal(readSysctl("net.ipv4.conf.br0/5.rp_filter"), "2");
      assert.throws(() => writeSysctl("net/ipv4/conf/br0.5/rp_filter", "many"), {
        code: "EINVAL",
      });
    });
    assert.equal(readSysctl("net.ipv4.ip_forward"), before);
  },
});

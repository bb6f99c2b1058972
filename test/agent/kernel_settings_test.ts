import assert from "node:assert/strict";
import {
  conntrackSettings,
  cpusIn,
  logicalCpus,
  missingBuckets,
  setConntrack,
} from "../../src/agent/kernel_settings.ts";
import type { ConntrackLimits } from "../../src/config/parts.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { readSpecialFile } from "../../src/linux/special_file.ts";
import { readSysctl } from "../../src/linux/sysctl.ts";
import { requires } from "../requirements.ts";

const NOTHING: ConntrackLimits = {
  maxPerCore: 0,
  min: 131_072,
  tcpEstablishedMs: 0,
  tcpCloseWaitMs: 0,
  udpMs: 0,
  udpStreamMs: 0,
  tcpBeLiberal: false,
};

const shown = (limits: Partial<ConntrackLimits>, cpus = 2) =>
  conntrackSettings({ ...NOTHING, ...limits }, cpus)
    .map(({ name, value }) => `${name.replace("net.netfilter.nf_conntrack_", "")}=${value}`);

Deno.test("connection tracking gets room by CPUs, at least the minimum, unless that is 0", () => {
  assert.deepEqual(shown({}), []);
  assert.deepEqual(shown({ maxPerCore: 32_768 }, 2), ["max=131072"]);
  assert.deepEqual(shown({ maxPerCore: 32_768 }, 64), ["max=2097152"]);
  assert.deepEqual(shown({ maxPerCore: 1, min: 0 }, 3), ["max=3"]);
});

Deno.test("CPUs are the machine's, not those that this process may use", () => {
  assert.equal(cpusIn("0\n"), 1);
  assert.equal(cpusIn("0-3,8,10-11\n"), 7);
  const processors = readSpecialFile("/proc/cpuinfo")!.match(/^processor\s*:/gm)!;
  assert.equal(logicalCpus(), processors.length);
});

Deno.test("the table has a bucket for four connections, whoever has raised the limit", () => {
  assert.equal(missingBuckets(1_048_576, "65536\n"), 262_144);
  assert.equal(missingBuckets(1_048_579, "262144\n"), null);
  assert.equal(missingBuckets(131_072, "262144\n"), null);
  assert.equal(missingBuckets(131_072, null), null, "it cannot be had here");
});

Deno.test("timeouts are whole seconds, and 0 leaves them as they are", () => {
  assert.deepEqual(
    shown({
      tcpEstablishedMs: 86_400_000,
      tcpCloseWaitMs: 1999,
      tcpBeLiberal: true,
      udpMs: 30_000,
      udpStreamMs: 999,
    }),
    [
      "tcp_timeout_established=86400",
      "tcp_timeout_close_wait=1",
      "tcp_be_liberal=1",
      "udp_timeout=30",
    ],
  );
});

Deno.test({
  ...requires("a namespace's timeouts are set, and what is the machine's stays", "root", "netns"),
  fn() {
    using namespace = NetworkNamespace.create();
    const set = (limits: Partial<ConntrackLimits>) =>
      namespace.run(() => setConntrack({ ...NOTHING, ...limits }, 1));
    const read = (name: string) =>
      namespace.run(() => Number(readSysctl(`net.netfilter.nf_conntrack_${name}`)));
    assert.deepEqual(set({ tcpEstablishedMs: 4_321_000, tcpBeLiberal: true }), []);
    assert.equal(read("tcp_timeout_established"), 4321);
    assert.equal(read("tcp_be_liberal"), 1);
    const max = read("max");
    assert.deepEqual(set({ maxPerCore: 1, min: 1 }), [], "it is not lowered");
    const failures = set({ maxPerCore: max + 1, udpMs: 77_000 });
    assert.equal(failures.length, 1, failures.join("; "));
    assert.match(failures[0], /nf_conntrack_max: .*\(EACCES\)$/);
    assert.equal(read("max"), max);
    assert.equal(read("udp_timeout"), 77, "one that fails is in no other's way");
  },
});

/** What ipvs mode is told on the command line. */

import assert from "node:assert/strict";
import { parseCommandLine } from "../../src/config/config.ts";

const config = (...args: string[]) => parseCommandLine(args, "run", () => "node-a").config;

Deno.test("ipvs mode's flags have kube-proxy's defaults, and ours change nothing unasked", () => {
  const { ipvs, scheduler, schedulerFlags, strictMode, withoutEffect } = config();
  assert.deepEqual(ipvs, {
    excludeCIDRs: [],
    strictARP: false,
    tcpTimeoutMs: 0,
    tcpFinTimeoutMs: 0,
    udpTimeoutMs: 0,
    gracefulDeadlineMs: 0,
  });
  assert.deepEqual([scheduler, schedulerFlags, strictMode, withoutEffect], [null, [], false, []]);
});

Deno.test("ipvs mode's flags", () => {
  const { ipvs, schedulerFlags, strictMode, withoutEffect } = config(
    "--ipvs-exclude-cidrs=10.1.0.7/16,fd00::/8",
    "--ipvs-strict-arp",
    "--ipvs-tcp-timeout=2h",
    "--ipvs-tcpfin-timeout=30s",
    "--ipvs-udp-timeout=1m",
    "--ipvs-graceful-deadline=15m",
    "--ipvs-scheduler=mh",
    "--ipvs-scheduler-flags=mh-port,mh-fallback",
    "--proxy-mode-strict",
  );
  assert.deepEqual(ipvs, {
    excludeCIDRs: ["10.1.0.0/16", "fd00::/8"],
    strictARP: true,
    tcpTimeoutMs: 7_200_000,
    tcpFinTimeoutMs: 30_000,
    udpTimeoutMs: 60_000,
    gracefulDeadlineMs: 900_000,
  });
  assert.deepEqual(schedulerFlags, ["mh-port", "mh-fallback"]);
  assert.deepEqual([strictMode, withoutEffect], [true, []]);
});

Deno.test("a flag must be one of its scheduler's", () => {
  const refuses = (message: RegExp, ...args: string[]) =>
    assert.throws(() => config(...args), { name: "UsageError", message });
  refuses(/"sh-port": scheduler mh takes mh-fallback, mh-port$/, ...[
    "--ipvs-scheduler=mh",
    "--ipvs-scheduler-flags=sh-port",
  ]);
  refuses(/"port": expected one of sh-fallback, /, "--ipvs-scheduler-flags=port");
});

import assert from "node:assert/strict";
import { engineLimits } from "../../src/agent/engine_limits.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { Engine } from "../../src/engine/engine.ts";

const limits = (cpus: number, ...args: string[]) =>
  engineLimits(parseCommandLine(args, "run", () => "node-a").config.conntrack, cpus);

Deno.test("the engine tracks connections as kube-proxy has the kernel do it", () => {
  assert.deepEqual(limits(2), {
    connections: 131_072,
    tcpTimeouts: { established: 86_400, closeWait: 3600 },
    udpTimeouts: { single: undefined, stream: undefined },
  });
  assert.equal(limits(64).connections, 2_097_152);
  assert.equal(limits(8, "--conntrack-max-per-core=0").connections, undefined);
  const given = limits(
    1,
    "--conntrack-max-per-core=1",
    "--conntrack-min=7000",
    "--conntrack-tcp-timeout-established=0",
    "--conntrack-udp-timeout=90s",
    "--conntrack-udp-timeout-stream=1500ms",
  );
  assert.deepEqual(given, {
    connections: 7000,
    tcpTimeouts: { established: undefined, closeWait: 3600 },
    udpTimeouts: { single: 90, stream: 1.5 },
  });
  assert.equal(Engine.create({ seed: 1n, ...given }).counters().connections.limit, 7000);
});

Deno.test("what no engine can have is cut to what one can", () => {
  const most = limits(
    1,
    "--conntrack-max-per-core=2000000000",
    "--conntrack-tcp-timeout-established=100000h",
  );
  const { connections } = Engine.create({ seed: 1n, ...most }).counters();
  assert.equal(connections.limit, most.connections);
});

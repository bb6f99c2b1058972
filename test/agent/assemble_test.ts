import assert from "node:assert/strict";
import { interfaceAddresses } from "../../src/agent/addresses.ts";
import {
  ipvsOptions,
  plannerConfig,
  renderingOptions,
  ruleOptions,
} from "../../src/agent/options.ts";
import { checkMode } from "../../src/agent/mode.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { SCHEDULER_NAMES } from "../../src/plan/scheduling.ts";

const config = (...args: string[]) => parseCommandLine(args, "run", () => "node-a").config;

Deno.test("node ports answer on the primary addresses in nftables mode, however it is come to", () => {
  const addresses = (mode: ProxyMode, ...args: string[]) =>
    plannerConfig(config(...args), mode, []).nodePortAddresses;
  assert.deepEqual(addresses("nftables"), ["primary"]);
  assert.deepEqual(addresses("iptables"), []);
  assert.deepEqual(addresses("nftables", "--nodeport-addresses=0.0.0.0/0"), ["0.0.0.0/0"]);
  assert.deepEqual(renderingOptions(config()).nftablesOptions.nodePortAddresses, ["primary"]);
  assert.deepEqual(renderingOptions(config()).ruleOptions.nodePortAddresses, []);
});

Deno.test("userspace mode takes every scheduler that the flag may name", () => {
  for (const name of SCHEDULER_NAMES) {
    checkMode(config(`--ipvs-scheduler=${name}`), "userspace");
    assert.equal(
      plannerConfig(config(`--ipvs-scheduler=${name}`), "userspace", []).scheduler,
      name,
    );
  }
});

Deno.test("ipvs mode takes every scheduler of the kernel", () => {
  for (const name of SCHEDULER_NAMES) {
    const own = config(`--ipvs-scheduler=${name}`);
    if (name === "random") assert.throws(() => checkMode(own, "ipvs"), /the kernel has none/);
    else {
      checkMode(own, "ipvs");
      assert.equal(ipvsOptions(own).scheduling.scheduler, name);
    }
  }
  const { scheduling } = ipvsOptions(config("--ipvs-scheduler=mh"));
  assert.deepEqual(scheduling.flags, ["mh-port"], "as kube-proxy");
  const flags = config("--ipvs-scheduler=sh", "--ipvs-scheduler-flags=sh-port,sh-fallback");
  assert.deepEqual(plannerConfig(flags, "ipvs", []).schedulerFlags, ["sh-port", "sh-fallback"]);
  assert.throws(() => config("--ipvs-scheduler-flags=sh-port"), /scheduler rr takes none$/);
});

Deno.test("userspace mode cannot tell pods by their links", () => {
  const byBridge = config("--detect-local-mode=BridgeInterface", "--pod-bridge-interface=cbr0");
  assert.throws(() => checkMode(byBridge, "userspace"), /expected ClusterCIDR or NodeCIDR$/);
  checkMode(byBridge, "iptables");
  assert.deepEqual(ruleOptions(byBridge).localDetection, { by: "bridge", name: "cbr0" });
  const byPrefix = config(
    "--detect-local-mode=InterfaceNamePrefix",
    "--pod-interface-name-prefix=veth",
  );
  assert.deepEqual(ruleOptions(byPrefix).localDetection, {
    by: "interface-prefix",
    prefix: "veth",
  });
  assert.deepEqual(ruleOptions(config()).localDetection, { by: "network" });
});

Deno.test("the node has the addresses given, or else those of its interfaces", () => {
  const local = ["192.0.2.9"];
  const found = plannerConfig(config(), "userspace", local);
  assert.deepEqual([found.nodeAddresses, found.localAddresses], [[], local]);
  const given = plannerConfig(config("--node-ip=192.0.2.1"), "userspace", local);
  assert.deepEqual([given.nodeAddresses, given.localAddresses], [["192.0.2.1"], []]);
});

Deno.test("schedulers are for the modes that have them", () => {
  const scheduler = (mode: "iptables" | "ipvs" | "userspace", ...args: string[]) =>
    plannerConfig(config(...args), mode, []).scheduler;
  assert.equal(scheduler("userspace"), "rr");
  assert.equal(scheduler("ipvs", "--ipvs-scheduler=sh"), "sh");
  assert.equal(scheduler("userspace", "--ipvs-scheduler=mh"), "mh");
  assert.equal(scheduler("iptables", "--ipvs-scheduler=sh"), "random");
});

Deno.test("only addresses that others can dial are the node's", () => {
  const interfaces = ["127.0.0.1", "::1", "192.0.2.1", "fe80::1%eth0", "169.254.1.1", "2001:DB8::1"]
    .map((address) => ({ address }));
  assert.deepEqual(interfaceAddresses([...interfaces, { address: "192.0.2.1" }]), [
    "192.0.2.1",
    "2001:db8::1",
  ]);
});

import { missing } from "../requirements.ts";
import { iptablesDriver } from "./iptables_driver.ts";
import { testScenarios } from "./runner.ts";

for (const backend of ["nft", "legacy"] as const) {
  testScenarios(iptablesDriver(backend), {
    title: `iptables (${backend})`,
    skip: missing("root", "netns", `iptables-${backend}`, `ip6tables-${backend}`),
  });
}

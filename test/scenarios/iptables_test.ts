import { missing } from "../requirements.ts";
import { IptablesDriver } from "./iptables_driver.ts";
import { testScenarios } from "./runner.ts";

for (const backend of ["nft", "legacy"] as const) {
  testScenarios(new IptablesDriver(backend), {
    title: `iptables (${backend})`,
    skip: missing("root", "netns", `iptables-${backend}`, `ip6tables-${backend}`),
  });
}

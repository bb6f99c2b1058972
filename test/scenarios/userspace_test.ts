import { missing } from "../requirements.ts";
import { testScenarios } from "./runner.ts";
import { UserspaceDriver } from "./userspace_driver.ts";

testScenarios(new UserspaceDriver(), { skip: missing("root", "netns", "tun") });

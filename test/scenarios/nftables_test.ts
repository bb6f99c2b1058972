import { missing } from "../requirements.ts";
import { nftablesDriver } from "./nftables_driver.ts";
import { testScenarios } from "./runner.ts";

testScenarios(nftablesDriver(), { skip: missing("root", "netns", "nft") });

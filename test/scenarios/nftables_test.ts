import { missing } from "../requirements.ts";
import { NftablesDriver } from "./nftables_driver.ts";
import { testScenarios } from "./runner.ts";

testScenarios(new NftablesDriver(), { skip: missing("root", "netns", "nft") });

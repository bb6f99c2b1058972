import { PlanDriver } from "./plan_driver.ts";
import { testScenarios } from "./runner.ts";

testScenarios(new PlanDriver());

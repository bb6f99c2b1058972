import { EngineDriver } from "./engine_driver.ts";
import { testScenarios } from "./runner.ts";

testScenarios(new EngineDriver());

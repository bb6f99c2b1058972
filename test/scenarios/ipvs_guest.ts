/**
 * Every scenario on ipvs mode, inside the virtual machine.
 *
 * @module
 */

import { guestScenarios } from "./guest.ts";
import { IpvsDriver } from "./ipvs_driver.ts";

export const tests = guestScenarios(new IpvsDriver());

/**
 * The version of Switchyard.
 *
 * @module
 */

import project from "../../package.json" with { type: "json" };

/** As in package.json. */
export const VERSION: string = project.version;

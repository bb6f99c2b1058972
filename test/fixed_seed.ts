/**
 * Has fast-check choose the same values at each run of the suite, so that a change alone can make it
 * end otherwise; run.ts loads this before every test. `deno test FILE` by itself tries others each
 * time, and a failure tells its seed.
 *
 * @module
 */

import fc from "fast-check";

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 1 });

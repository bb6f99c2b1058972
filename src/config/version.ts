/**
 * The version of Switchyard, and that of Kubernetes whose kube-proxy it is like.
 *
 * @module
 */

import project from "../../package.json" with { type: "json" };

/** As in package.json. */
export const VERSION: string = project.version;

/** The minor release of Kubernetes whose kube-proxy's configuration, rules and metrics these are. */
export const KUBERNETES = { major: 1, minor: 33 } as const;

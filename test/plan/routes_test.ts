import assert from "node:assert/strict";
import type { Route, SourceClass } from "../../src/plan/plan.ts";
import { externalRoutes, internalRoutes } from "../../src/plan/routes.ts";

/** "cluster+" forwards to the cluster list masqueraded, "local-" to the local list unmasqueraded. */
function words(routes: Readonly<Record<SourceClass, Route>>): string {
  const word = (route: Route) =>
    route.action === "forward" ? `${route.to}${route.masquerade ? "+" : "-"}` : route.action;
  return [routes.pod, routes.node, routes.outside].map(word).join(" ");
}

const USABLE = { hasLocal: true, hasEndpoints: true, detectsPods: true };
const ELSEWHERE = { ...USABLE, hasLocal: false };
const NOWHERE = { ...ELSEWHERE, hasEndpoints: false };
const blind = (inputs: typeof USABLE) => ({ ...inputs, detectsPods: false });

Deno.test("routes of cluster IPs, for pod, node and outside", async (t) => {
  const table: [string, string, string][] = [
    ["Cluster", words(internalRoutes(false, false, USABLE)), "cluster- cluster+ cluster+"],
    ["masquerade all", words(internalRoutes(false, true, USABLE)), "cluster+ cluster+ cluster+"],
    [
      "no detection",
      words(internalRoutes(false, false, blind(USABLE))),
      "cluster- cluster- cluster-",
    ],
    [
      "no detection, masquerade all",
      words(internalRoutes(false, true, blind(USABLE))),
      "cluster+ cluster+ cluster+",
    ],
    [
      "Cluster, none here",
      words(internalRoutes(false, false, ELSEWHERE)),
      "cluster- cluster+ cluster+",
    ],
    ["Local", words(internalRoutes(true, false, USABLE)), "local- local+ local+"],
    ["Local, masquerade all", words(internalRoutes(true, true, USABLE)), "local+ local+ local+"],
    ["Local, none here", words(internalRoutes(true, false, ELSEWHERE)), "drop drop drop"],
    ["Cluster, none", words(internalRoutes(false, true, NOWHERE)), "reject reject reject"],
    ["Local, none", words(internalRoutes(true, false, NOWHERE)), "reject reject reject"],
  ];
  for (const [name, actual, expected] of table) {
    await t.step(name, () => assert.equal(actual, expected));
  }
});

Deno.test("routes of external addresses, for pod, node and outside", async (t) => {
  const table: [string, string, string][] = [
    ["Cluster", words(externalRoutes(false, USABLE)), "cluster+ cluster+ cluster+"],
    ["Cluster, none here", words(externalRoutes(false, ELSEWHERE)), "cluster+ cluster+ cluster+"],
    [
      "Cluster, no detection",
      words(externalRoutes(false, blind(USABLE))),
      "cluster+ cluster+ cluster+",
    ],
    ["Local", words(externalRoutes(true, USABLE)), "cluster- cluster+ local-"],
    ["Local, none here", words(externalRoutes(true, ELSEWHERE)), "cluster- cluster+ drop"],
    ["Local, no detection", words(externalRoutes(true, blind(USABLE))), "local- cluster+ local-"],
    ["Local, neither", words(externalRoutes(true, blind(ELSEWHERE))), "drop cluster+ drop"],
    ["Cluster, none", words(externalRoutes(false, NOWHERE)), "reject reject reject"],
    ["Local, none", words(externalRoutes(true, NOWHERE)), "reject reject reject"],
  ];
  for (const [name, actual, expected] of table) {
    await t.step(name, () => assert.equal(actual, expected));
  }
});

/** Asks for previews of a state, and sees that nothing is applied. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { post, type Reply, withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

export const PATH = "/api/v1/preview";

/** As clients write it. */
export function json(object: ClusterObject): Record<string, unknown> {
  const apiVersion = object.kind === "EndpointSlice" ? "discovery.k8s.io/v1" : "v1";
  return { apiVersion, ...object };
}

export type Difference = {
  service: string;
  backends: Record<"added" | "removed", unknown[]>;
};

export type Body = { objects?: unknown[]; delete?: unknown[] };

export async function preview(state: RealState, body: Body, query = ""): Promise<Reply> {
  let reply: Reply | null = null;
  await withQueryApi(state, async (ask) => {
    const before = JSON.stringify([...state.plan().services.values()]);
    reply = await ask(`${PATH}${query}`, post(body));
    assert.equal(JSON.stringify([...state.plan().services.values()]), before, "it was applied");
  });
  return reply!;
}

export async function served(mode: ProxyMode = "iptables"): Promise<RealState> {
  const state = new RealState(mode);
  await state.apply([...web(), plain("other", "10.0.1.176"), slice("other", ["10.180.0.9"])]);
  return state;
}

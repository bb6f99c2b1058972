/**
 * The cluster of which kube-proxy's own rules are in iptables/fixtures/kube_proxy.json.
 *
 * @module
 */

import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { Family } from "../../src/net/address.ts";
import fixture from "./iptables/fixtures/kube_proxy.json" with { type: "json" };

/** The objects of each of its Services, by what it is there for. */
export const objects = fixture.objects as unknown as Readonly<
  Record<Family, Readonly<Record<string, readonly ClusterObject[]>>>
>;

/** All of it, in both families. */
export const everything: readonly ClusterObject[] = [
  ...Object.values(objects.IPv4).flat(),
  ...Object.values(objects.IPv6).flat().map(renamed),
];

/** An object under another name: its counterpart in the other family has the same. */
export function renamed(object: ClusterObject): ClusterObject {
  const { metadata } = object;
  const labels = metadata.labels === undefined ? undefined : Object.fromEntries(
    Object.entries(metadata.labels).map(([key, value]) => [key, `${value}6`]),
  );
  const other = { ...metadata, name: `${metadata.name}6`, ...(labels ? { labels } : {}) };
  return { ...object, metadata: other } as ClusterObject;
}

/**
 * What every component of Kubernetes says of its build and its features.
 *
 * @module
 */

import type { Gate } from "../../config/gates.ts";
import { KUBERNETES } from "../../config/version.ts";
import { gaugeIn, type Registry } from "./registry.ts";

/**
 * Adds both. The version is that of Kubernetes whose kube-proxy this is like, as alerts compare it with
 * the versions of other components; Switchyard's own stands behind it, where distributions of Kubernetes
 * have theirs.
 */
export function addKubernetesMetrics(
  registry: Registry,
  version: string,
  gates: readonly Gate[],
): void {
  const gauge = gaugeIn(registry);
  const { major, minor } = KUBERNETES;
  const { os, arch } = Deno.build;
  const build = {
    compiler: "deno",
    git_version: `v${major}.${minor}.0+switchyard.${version}`,
    major: String(major),
    minor: String(minor),
    platform: `${os}/${arch === "x86_64" ? "amd64" : "arm64"}`,
  };
  gauge("kubernetes_build_info", "Always 1", Object.keys(build)).set(build, 1);
  const features = gauge(
    "kubernetes_feature_enabled",
    "1 for features of Kubernetes that are on, 0 for those that are off",
    ["name", "stage"],
  );
  for (const { name, stage, enabled } of gates) features.set({ name, stage }, enabled ? 1 : 0);
}

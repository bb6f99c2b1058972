/** The real kube-proxy, where KUBEBUILDER_ASSETS has it. */

/** The program. */
export const KUBE_PROXY = `${Deno.env.get("KUBEBUILDER_ASSETS") ?? ""}/kube-proxy`;

/** Why there is none, or null. */
export function missingKubeProxy(): string | null {
  if (KUBE_PROXY === "/kube-proxy") return "KUBEBUILDER_ASSETS is not set";
  try {
    Deno.statSync(KUBE_PROXY);
    return null;
  } catch {
    return "KUBEBUILDER_ASSETS has no kube-proxy";
  }
}

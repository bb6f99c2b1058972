/**
 * Which Service a rule is for, by the comments that kube-proxy writes.
 *
 * @module
 */

const NAME = "([a-z0-9-]+/[a-z0-9.-]+(?::[A-Za-z0-9._-]*)?)";

/** Endings that mean that the rule serves or refuses the Service's traffic. */
const ENDINGS = [
  "cluster IP",
  "external IP",
  "loadbalancer IP",
  "has no endpoints",
  "has no local endpoints",
  "traffic not accepted by KUBE-FW-[A-Z0-9]+",
  "-> .+",
];

const COMMENT = new RegExp(`^${NAME}(?: (?:${ENDINGS.join("|")}))?$`);

/**
 * The service port name ("namespace/name" or "namespace/name:port") in the comment of a rule of one
 * of kube-proxy's chains, or null. Versions before 1.21 wrote "namespace/name:" for unnamed ports.
 */
export function serviceOf(chain: string | null, comment: string | null): string | null {
  if (comment === null || !chain?.startsWith("KUBE-")) return null;
  const match = COMMENT.exec(comment);
  return match === null ? null : match[1].replace(/:$/, "");
}

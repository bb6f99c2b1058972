/**
 * Which Service a rule or an element is for, by the names and comments that kube-proxy gives.
 *
 * @module
 */

const CHAIN = /^(?:service|local|external|firewall|endpoint)-[A-Z0-9]{8}-(.+)$/;

/** A service port's name in a comment: "namespace/name" or "namespace/name:port". */
const NAME = /^[a-z0-9-]+\/[a-z0-9.-]+(?::[A-Za-z0-9._-]*)?$/;

/** Chains whose maps have elements with such comments. */
const CHECKS: readonly (string | null)[] = ["service-endpoints-check", "nodeport-endpoints-check"];

/**
 * The service port name ("namespace/name" or "namespace/name:port") of a chain of its own, or in the
 * comment of what acted in one of the chains that refuse; null where there is none.
 */
export function serviceOf(chain: string | null, comment: string | null): string | null {
  const own = CHAIN.exec(chain ?? "");
  if (own !== null) return nameIn(own[1]);
  return comment !== null && CHECKS.includes(chain) && NAME.test(comment)
    ? comment.replace(/:$/, "")
    : null;
}

/** "namespace/name/protocol/port", to which an endpoint's chain adds "__address/port". */
function nameIn(base: string): string | null {
  const [namespace, name, protocol, rest] = base.split("/");
  if (rest === undefined || !["tcp", "udp", "sctp"].includes(protocol)) return null;
  const [port] = rest.split("__");
  return port === "" ? `${namespace}/${name}` : `${namespace}/${name}:${port}`;
}

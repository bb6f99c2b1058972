/**
 * Services as the API server would store them: with its defaults, with what it keeps of the Service
 * that is there, and with addresses and node ports that no other Service has.
 *
 * @module
 */

import { allocateClusterIPs } from "../../cluster/control/cluster_ips.ts";
import { identityOfObject, type Located } from "../../cluster/control/located.ts";
import { allocateNodePorts } from "../../cluster/control/node_ports.ts";
import { refusalOf, withDefaults } from "../../cluster/control/service_defaults.ts";
import { objectKey, type Service } from "../../cluster/objects.ts";
import type { ClusterProblem } from "../../cluster/source.ts";
import type { Network } from "../../net/address.ts";
import type { Plan } from "../../plan/plan.ts";
import { existingService, keepFields } from "./existing.ts";

/** The Services that are there, and what new ones get. */
export interface Registry {
  readonly plan: Plan;
  /** Networks that cluster IPs come from. */
  readonly serviceNetworks: readonly Network[];
}

/** What became of Services. */
export interface AdmittedServices {
  readonly services: readonly Located<Service>[];
  /** Services that are refused. */
  readonly problems: readonly ClusterProblem[];
  /** Fields that the API server would decide, and what was taken for them, one line each. */
  readonly assumed: readonly string[];
}

/** @param gone "Kind namespace/name" of objects that are deleted with it. */
export function admitServices(
  services: readonly Located<Service>[],
  { plan, serviceNetworks }: Registry,
  gone: ReadonlySet<string>,
): AdmittedServices {
  const problems: ClusterProblem[] = [];
  if (services.length === 0) return { services, problems, assumed: [] };
  const families = [...new Set(serviceNetworks.map(({ family }) => family))];
  const given = new Set(services.map(({ object }) => identityOfObject(object)));
  const admitted = services.flatMap((located): Located<Service>[] => {
    const before = plan.services.get(objectKey(located.object));
    const refused = refusalOf(located.object);
    const kept = before === undefined ? located.object : keepFields(located.object, before);
    const result = refused ?? withDefaults(kept, families);
    if (!("message" in result)) return [{ ...located, object: result }];
    const { field, message } = result;
    problems.push({ ...located, object: identityOfObject(located.object), field, message });
    return [];
  });
  const others = [...plan.services.values()].filter((service) => {
    const identity = `Service ${service.namespace}/${service.name}`;
    return !given.has(identity) && !gone.has(identity) && service.ports.length > 0;
  }).map((service) => ({ object: existingService(service), where: "" }));
  const addressed = allocateClusterIPs([...others, ...admitted], serviceNetworks, new Map());
  const ported = allocateNodePorts(addressed.services, new Map());
  const ofOurs = (problem: ClusterProblem) => problem.where !== "";
  problems.push(...addressed.problems.filter(ofOurs), ...ported.problems.filter(ofOurs));
  const stored = ported.services.filter(({ where }) => where !== "");
  const asked = new Map(admitted.map(({ object }) => [objectKey(object), object]));
  const assumed = stored.flatMap(({ object }) =>
    assumptions(asked.get(objectKey(object))!, object)
  );
  return { services: stored, problems, assumed };
}

/** What was allocated for a Service. */
function assumptions(asked: Service, stored: Service): string[] {
  const found: string[] = [];
  const tell = (field: string, value: unknown) =>
    found.push(`${identityOfObject(stored)}: ${field}: ${value}`);
  const known = new Set([asked.spec.clusterIP, ...asked.spec.clusterIPs ?? []]);
  for (const [i, address] of (stored.spec.clusterIPs ?? []).entries()) {
    if (!known.has(address) && address !== "None") tell(`spec.clusterIPs[${i}]`, address);
  }
  for (const [i, { nodePort }] of stored.spec.ports.entries()) {
    if (nodePort !== undefined && asked.spec.ports[i].nodePort === undefined) {
      tell(`spec.ports[${i}].nodePort`, nodePort);
    }
  }
  const { healthCheckNodePort } = stored.spec;
  if (healthCheckNodePort !== undefined && asked.spec.healthCheckNodePort === undefined) {
    tell("spec.healthCheckNodePort", healthCheckNodePort);
  }
  return found;
}

/**
 * Keeps the plan up to date: cluster changes in, changed Services out.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import type { Node } from "../cluster/objects.ts";
import type { ClusterChange, ClusterProblem } from "../cluster/source.ts";
import {
  countReadyAddresses,
  type Endpoint,
  isOnNode,
  mergeEndpoints,
} from "../services/endpoints.ts";
import type { ServiceInfo, ServicePort } from "../services/service_port.ts";
import { ServiceTracker, type TrackedService, type UdpChange } from "../services/tracker.ts";
import { FrontendClaims } from "./claims.ts";
import {
  admittedSources,
  type FrontendRequest,
  requestedFrontends,
  requestedKeys,
} from "./frontends.ts";
import { describeNode, type NodeContext, type PlannerConfig } from "./node.ts";
import type {
  Backend,
  Frontend,
  FrontendKind,
  Plan,
  PlanChange,
  ServicePlan,
  ServicePortPlan,
} from "./plan.ts";
import { type Choice, chooseScheduling } from "./scheduling.ts";
import { externalRoutes, internalRoutes, type RouteInputs } from "./routes.ts";
import { categorizeEndpoints } from "./topology.ts";

/** A plan change with what data planes need to clean up after it. */
export interface PlannerChange extends PlanChange {
  /** UDP Service ports whose stale conntrack entries are to be deleted once the change is made. */
  readonly udp: readonly UdpChange[];
}

/** The field of a Service that asks for a kind of frontend. */
const FIELDS: Readonly<Record<FrontendKind, string>> = {
  ClusterIP: "spec.clusterIP",
  NodePort: "spec.ports[].nodePort",
  ExternalIP: "spec.externalIPs",
  LoadBalancer: "status.loadBalancer.ingress",
};

/**
 * Makes and keeps the plan for one node. The cost of an update is that of the Services it touches;
 * only a change of this node itself looks at all of them.
 */
export class Planner {
  #config: PlannerConfig;
  #tracker: ServiceTracker;
  #claims = new FrontendClaims();
  #services = new Map<string, ServicePlan>();
  /** Of each ServiceCIDR, by name. */
  readonly #serviceCIDRs = new Map<string, readonly string[]>();
  #serviceNetworks: readonly string[] = [];
  #nodeObject: Node | null = null;
  #node: NodeContext;
  #started = false;
  /** Services with an annotation that cannot be used. */
  #misannotated = new Set<string>();

  /** Throws a TypeError when the configuration has an address or network that is none. */
  constructor(config: PlannerConfig) {
    this.#config = config;
    this.#tracker = new ServiceTracker(config.families);
    this.#node = describeNode(config, null);
  }

  /**
   * A planner with the same state that goes its own way: what would become of a change can be tried
   * on it. It costs copies of maps; the plans of Services are shared.
   */
  fork(): Planner {
    const fork = new Planner(this.#config);
    fork.#tracker = this.#tracker.fork();
    fork.#claims = this.#claims.fork();
    fork.#services = new Map(this.#services);
    for (const [name, cidrs] of this.#serviceCIDRs) fork.#serviceCIDRs.set(name, cidrs);
    fork.#serviceNetworks = this.#serviceNetworks;
    fork.#nodeObject = this.#nodeObject;
    fork.#node = this.#node;
    fork.#started = this.#started;
    fork.#misannotated = new Set(this.#misannotated);
    return fork;
  }

  /** Whether an EndpointSlice, by "namespace/name", is known. */
  hasSlice(key: string): boolean {
    return this.#tracker.hasSlice(key);
  }

  /** The plan as it is now; its map of Services follows every update. */
  get plan(): Plan {
    return {
      node: this.#node.info,
      services: this.#services,
      serviceNetworks: this.#serviceNetworks,
    };
  }

  /** What Services ask for and do not get: frontends of others, schedulers that cannot be had. */
  get problems(): ClusterProblem[] {
    const losers = new Set<string>();
    for (const frontend of this.#claims.contested) {
      for (const service of this.#claims.claimants(frontend).slice(1)) losers.add(service);
    }
    return [
      ...[...losers].sort().flatMap((service) => this.#conflicts(service)),
      ...[...this.#misannotated].sort().flatMap((service) => this.#annotationProblems(service)),
    ];
  }

  /** Has the next update know the node by these addresses of its interfaces. */
  setLocalAddresses(localAddresses: readonly string[]): void {
    this.#config = { ...this.#config, localAddresses };
  }

  /** Takes over a batch of changes and says what became different in the plan. */
  update(changes: readonly ClusterChange[]): PlannerChange {
    const formerNode = this.#node;
    for (const { action, object } of changes) {
      if (object.kind === "Node" && object.metadata.name === this.#config.nodeName) {
        this.#nodeObject = action === "delete" ? null : object;
      } else if (object.kind === "ServiceCIDR") {
        const { metadata: { name }, spec: { cidrs } } = object;
        if (action === "delete") this.#serviceCIDRs.delete(name);
        else this.#serviceCIDRs.set(name, cidrs);
        this.#serviceNetworks = [...new Set([...this.#serviceCIDRs.values()].flat())].sort();
      }
    }
    this.#node = this.#nodeContext();
    this.#tracker.apply(changes);
    const { services: changed, udp } = this.#tracker.drain();
    const stale = new Set(this.#node === formerNode ? [] : this.#tracker.keys());
    const infos = new Map<string, ServiceInfo | null>();
    for (const key of changed) {
      stale.add(key);
      const { info } = this.#tracker.get(key);
      infos.set(key, info);
      const claimed = info === null ? new Set<string>() : requestedKeys(info);
      for (const other of this.#claims.replace(key, claimed)) stale.add(other);
    }
    const nodeChanged = !this.#started || !isDeepStrictEqual(formerNode.info, this.#node.info);
    this.#started = true;
    return { node: nodeChanged ? this.#node.info : null, ...this.#replan(stale, infos), udp };
  }

  /** The node's context, the very same one when nothing about it is different. */
  #nodeContext(): NodeContext {
    const context = describeNode(this.#config, this.#nodeObject);
    return isDeepStrictEqual(context, this.#node) ? this.#node : context;
  }

  /** @param infos of some of them; taken out when they have been used. */
  #replan(
    keys: ReadonlySet<string>,
    infos: Map<string, ServiceInfo | null>,
  ): Pick<PlanChange, "updated" | "removed"> {
    const updated: ServicePlan[] = [];
    const removed: string[] = [];
    for (const key of [...keys].sort()) {
      const tracked = this.#tracker.get(key);
      const info = infos.has(key) ? infos.get(key)! : tracked.info;
      infos.delete(key);
      const plan = this.#planService(key, { info, slices: tracked.slices });
      if (plan === null) {
        if (this.#services.delete(key)) removed.push(key);
      } else if (!isDeepStrictEqual(plan, this.#services.get(key))) {
        this.#services.set(key, plan);
        updated.push(plan);
      }
    }
    return { updated, removed };
  }

  #planService(key: string, { info, slices }: TrackedService): ServicePlan | null {
    if (info === null) {
      this.#misannotated.delete(key);
      return null;
    }
    const { choice, problems } = this.#scheduling(info);
    if (problems.length === 0) this.#misannotated.delete(key);
    else this.#misannotated.add(key);
    const taken = new Set<string>();
    return {
      namespace: info.namespace,
      name: info.name,
      type: info.type,
      headless: info.headless,
      ...(info.externalName === undefined ? {} : { externalName: info.externalName }),
      ports: info.ports.map((port) => {
        const requests = requestedFrontends(port).filter((request) => {
          if (taken.has(request.key) || !this.#claims.owns(key, request.key)) return false;
          taken.add(request.key);
          return true;
        });
        return this.#planPort(port, mergeEndpoints(slices, port), requests, choice);
      }),
      healthCheckNodePort: info.healthCheckNodePort,
      localReadyEndpoints: countReadyAddresses(slices, this.#config.nodeName),
    };
  }

  #planPort(
    port: ServicePort,
    endpoints: readonly Endpoint[],
    requests: readonly FrontendRequest[],
    choice: Choice,
  ): ServicePortPlan {
    const { nodeName } = this.#config;
    const categories = categorizeEndpoints(endpoints, port, { nodeName, zone: this.#node.zone });
    const backends = endpoints.map((item) => backend(item, isOnNode(item.node, nodeName)));
    const toBackends = (list: readonly Endpoint[]) => {
      // In the order of the endpoints, of which one of the same length has all.
      if (list.length === endpoints.length) return backends;
      let at = 0;
      return list.map((item) => backends[at = endpoints.indexOf(item, at)]);
    };
    const inputs: RouteInputs = {
      hasLocal: categories.local.length > 0,
      hasEndpoints: categories.hasEndpoints,
      detectsPods: this.#node.detects.includes(port.family),
    };
    return {
      namespace: port.namespace,
      service: port.service,
      portName: port.portName,
      protocol: port.protocol,
      family: port.family,
      scheduler: choice.scheduler,
      ...(choice.flags.length === 0 ? {} : { schedulerFlags: choice.flags }),
      affinitySeconds: port.affinitySeconds,
      internalTrafficPolicy: port.internalPolicyLocal ? "Local" : "Cluster",
      externalTrafficPolicy: port.externalPolicyLocal ? "Local" : "Cluster",
      cluster: toBackends(categories.cluster),
      local: toBackends(categories.local),
      endpoints: backends,
      hasEndpoints: categories.hasEndpoints,
      frontends: requests.map((request) => this.#frontend(request, port, inputs)),
    };
  }

  #frontend(request: FrontendRequest, port: ServicePort, inputs: RouteInputs): Frontend {
    const { kind, address } = request;
    const routes = kind === "ClusterIP"
      ? internalRoutes(port.internalPolicyLocal, this.#config.masqueradeAll, inputs)
      : externalRoutes(port.externalPolicyLocal, inputs);
    const sourceRanges = kind === "LoadBalancer"
      ? admittedSources(port, this.#node.primary[port.family])
      : null;
    return { kind, address, port: request.port, routes, sourceRanges };
  }

  /** How a Service's backends are chosen, and why not as it asks for. */
  #scheduling({ scheduling }: ServiceInfo): ReturnType<typeof chooseScheduling> {
    const { scheduler, schedulerFlags = [], selectableSchedulers } = this.#config;
    const usual = { scheduler, flags: schedulerFlags };
    if (scheduling === undefined || selectableSchedulers === undefined) {
      return { choice: usual, problems: [] };
    }
    return chooseScheduling(scheduling, selectableSchedulers, usual);
  }

  #annotationProblems(service: string): ClusterProblem[] {
    const { info } = this.#tracker.get(service);
    return info === null ? [] : this.#scheduling(info).problems
      .map((problem) => ({ where: "plan", object: `Service ${service}`, ...problem }));
  }

  #conflicts(service: string): ClusterProblem[] {
    const requests = (this.#tracker.get(service).info?.ports ?? []).flatMap(requestedFrontends);
    return requests.filter((request) => !this.#claims.owns(service, request.key))
      .map(({ key, kind }) => ({
        where: "plan",
        object: `Service ${service}`,
        field: FIELDS[kind],
        message: `${key} belongs to Service ${this.#claims.claimants(key)[0]}; ` +
          `expected ${kind === "NodePort" ? "a port" : "an address and port"} of its own`,
      }));
  }
}

function backend(endpoint: Endpoint, local: boolean): Backend {
  const { address, port, ready, serving, terminating, node, zone, pod } = endpoint;
  return {
    address,
    port,
    weight: 1,
    ready,
    serving,
    terminating,
    local,
    ...(node === undefined ? {} : { node }),
    ...(zone === undefined ? {} : { zone }),
    ...(pod === undefined ? {} : { pod }),
  };
}

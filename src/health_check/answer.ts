/**
 * What a health check node port answers, as kube-proxy does.
 *
 * Load balancers ask it which nodes may be sent a Service's traffic of policy Local. Terminating
 * endpoints are not ready, so that a node leaves the balancer's pool as soon as its last endpoint
 * begins to end, while connections to it go on.
 *
 * @module
 */

/** What is known of a Service at the moment of a request. */
export interface ServiceHealth {
  readonly namespace: string;
  readonly name: string;
  /** Distinct addresses of ready endpoints on this node. */
  readonly localEndpoints: number;
  /** Whether changes reach this node in time. */
  readonly proxyHealthy: boolean;
}

/** An HTTP answer, as plain data. */
export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The same to every method and path. */
export function answerFor(service: ServiceHealth): HealthAnswer {
  const { namespace, name, localEndpoints, proxyHealthy } = service;
  const report = {
    service: { namespace, name },
    localEndpoints,
    serviceProxyHealthy: proxyHealthy,
  };
  return {
    status: localEndpoints > 0 && proxyHealthy ? 200 : 503,
    headers: {
      "content-type": "application/json",
      "x-content-type-options": "nosniff",
      "x-load-balancing-endpoint-weight": String(localEndpoints),
    },
    body: JSON.stringify(report, null, "\t"),
  };
}

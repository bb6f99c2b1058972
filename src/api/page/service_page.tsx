/**
 * One Service: how it does, the way from a client through a frontend and the rules to its pods, and
 * its endpoints with what they carry now.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import { formatSocketAddress } from "../../net/address.ts";
import type { SourceClass } from "../../plan/plan.ts";
import type { ExplanationView } from "../explanation.ts";
import { pathTo, type Reply, withQuery } from "./client.ts";
import { Agreement, Steps, VerdictLine } from "./explanation.tsx";
import { Badge, Bar, Fact, Notice, percent, Problem } from "./parts.tsx";
import { PathDrawing } from "./path/drawing.tsx";
import { type KnownBackend, pathOf } from "./path/path.ts";
import {
  type Backend,
  backendsOf,
  type Frontend,
  healthOf,
  type Service,
} from "./service_health.ts";

/** What of a Service is looked at. */
export interface ServiceChoice {
  /** Index of the frontend. */
  readonly frontend: number;
  readonly from: SourceClass;
}

/** A question about the chosen frontend, and its answer. */
export interface Asked {
  readonly source: string;
  readonly reply: Reply<ExplanationView>;
}

export interface ServicePageProps {
  readonly service: Service;
  readonly choice: ServiceChoice;
  /** Null where there is nothing to ask: no frontend, or no address of that class of source. */
  readonly asked: Asked | null;
  /** Connections now by "protocol address port"; null: not known. */
  readonly connections: ReadonlyMap<string, number> | null;
}

/** Names a backend in {@link ServicePageProps.connections}. */
export function connectionKey(protocol: string, { address, port }: Ends): string {
  return `${protocol} ${address} ${port}`;
}

interface Ends {
  readonly address: string;
  readonly port: number;
}

const CLIENTS: Readonly<Record<SourceClass, string>> = {
  pod: "Pod of this cluster",
  node: "This node",
  outside: "Client outside",
};

function dialled({ address, port, protocol }: Frontend): string {
  return `${formatSocketAddress(address, port)}/${protocol}`;
}

const Policies: FC<{ service: Service }> = ({ service }) => {
  const health = healthOf(service);
  const first = service.frontends.at(0);
  const affinity = first?.affinitySeconds ?? null;
  return (
    <dl class="facts">
      <Fact name="Health" tone={health.tone}>{health.text}</Fact>
      <Fact name="Type">{service.headless ? "headless" : service.type}</Fact>
      {service.externalName !== undefined && <Fact name="Name">{service.externalName}</Fact>}
      {first !== undefined && <Fact name="Scheduler">{first.scheduler}</Fact>}
      {first !== undefined && (
        <Fact name="Affinity">{affinity === null ? "none" : `client, ${affinity}\u00a0s`}</Fact>
      )}
      {service.internalTrafficPolicy !== null && (
        <Fact name="Internal policy">{service.internalTrafficPolicy}</Fact>
      )}
      {service.externalTrafficPolicy !== null && (
        <Fact name="External policy">{service.externalTrafficPolicy}</Fact>
      )}
      {service.healthCheckNodePort !== null && (
        <Fact name="Health check port">{service.healthCheckNodePort}</Fact>
      )}
    </dl>
  );
};

const Chooser: FC<{ service: Service; choice: ServiceChoice; path: string }> = (
  { service, choice, path },
) => (
  <form
    class="packet"
    action={path}
    method="get"
    hx-get={path}
    hx-trigger="change, submit"
    hx-target="#service"
    hx-select="#service"
    hx-sync="#service:replace"
  >
    <div class="field">
      <label for="frontend">Frontend</label>
      <select id="frontend" name="frontend">
        {service.frontends.map((frontend, i) => (
          <option value={i} selected={i === choice.frontend}>
            {frontend.kind} {dialled(frontend)}
            {frontend.portName === "" ? "" : ` (${frontend.portName})`}
          </option>
        ))}
      </select>
    </div>
    <div class="field">
      <label for="from">Asked from</label>
      <select id="from" name="from">
        {(["pod", "node", "outside"] as const).map((from) => (
          <option value={from} selected={from === choice.from}>{CLIENTS[from]}</option>
        ))}
      </select>
    </div>
    <button type="submit">Show</button>
  </form>
);

const BackendRow: FC<{ backend: Backend; connections: number | null; share: number | null }> = (
  { backend, connections, share },
) => {
  const state = backend.terminating
    ? backend.serving ? "terminating, serves" : "terminating"
    : backend.ready
    ? "ready"
    : "not ready";
  return (
    <tr>
      <th scope="row">
        {backend.pod ?? ""} <code>{formatSocketAddress(backend.address, backend.port)}</code>
      </th>
      <td data-label="State">
        <Badge tone={backend.ready ? "good" : "warn"}>{state}</Badge>
      </td>
      <td data-label="Node">
        {backend.node ?? "–"}
        {backend.local && <small>this node</small>}
      </td>
      <td data-label="New connections">
        {share === null ? "–" : (
          <>
            {percent(share)} <Bar share={share} tone="good" />
          </>
        )}
      </td>
      <td data-label="Connections now">{connections ?? "–"}</td>
    </tr>
  );
};

const Backends: FC<ServicePageProps> = ({ service, choice, asked, connections }) => {
  const chosen = service.frontends.at(choice.frontend);
  const backends = chosen?.backends ?? backendsOf(service);
  if (backends.length === 0) return null;
  const share = sharesOf(asked);
  return (
    <table>
      <caption>Endpoints of this frontend</caption>
      <thead>
        <tr>
          <th scope="col">Endpoint</th>
          <th scope="col">State</th>
          <th scope="col">Node</th>
          <th scope="col">New connections</th>
          <th scope="col">Connections now</th>
        </tr>
      </thead>
      <tbody>
        {backends.map((backend) => (
          <BackendRow
            backend={backend}
            connections={connections === null
              ? null
              : connections.get(connectionKey(chosen?.protocol ?? "TCP", backend)) ?? 0}
            share={share(backend)}
          />
        ))}
      </tbody>
    </table>
  );
};

function sharesOf(asked: Asked | null): (backend: Ends) => number | null {
  if (asked === null || !asked.reply.ok) return () => null;
  const { backends } = asked.reply.body;
  const shares = new Map(
    backends.map(({ address, port, probability }) => [`${address} ${port}`, probability]),
  );
  return ({ address, port }) => shares.get(`${address} ${port}`) ?? 0;
}

const Way: FC<ServicePageProps & { asked: Asked }> = (props) => {
  const { service, choice, asked, connections } = props;
  if (!asked.reply.ok) return <Problem problem={asked.reply.problem} />;
  const frontend = service.frontends[choice.frontend];
  const known = new Map(
    frontend.backends.map((backend): [string, KnownBackend] => [
      `${backend.address} ${backend.port}`,
      {
        pod: backend.pod,
        node: backend.node,
        connections: connections === null
          ? null
          : connections.get(connectionKey(frontend.protocol, backend)) ?? 0,
      },
    ]),
  );
  const client = { title: CLIENTS[choice.from], detail: asked.source };
  const door = { title: frontend.kind, detail: dialled(frontend) };
  const explanation = asked.reply.body;
  return (
    <>
      <VerdictLine explanation={explanation} />
      <PathDrawing path={pathOf(explanation, client, door, known)} />
      <Backends {...props} />
      <Agreement explanation={explanation} />
      <details class="more">
        <summary>Step by step</summary>
        <Steps explanation={explanation} />
      </details>
    </>
  );
};

const NothingToAsk: FC<{ service: Service }> = ({ service }) => {
  if (service.externalName !== undefined) {
    return (
      <Notice tone="plain" title="No packet comes by here.">
        <p>
          DNS answers with the name <code>{service.externalName}</code>.
        </p>
      </Notice>
    );
  }
  if (service.headless) {
    return (
      <Notice tone="plain" title="No packet comes by here.">
        <p>The Service is headless: DNS answers with the addresses of its pods.</p>
      </Notice>
    );
  }
  return <Notice tone="plain" title="No address to ask from, or no frontend to ask about." />;
};

/**
 * The page. It is not refreshed at every change of a busy cluster: in iptables mode with very many
 * Services, the first question after a change has all of their rules read again.
 */
export const ServicePage: FC<ServicePageProps> = (props) => {
  const { service, choice, asked } = props;
  const path = pathTo("/services", service.namespace, service.name);
  return (
    <>
      <p class="crumbs">
        <a href="/">Services</a>
      </p>
      <h1>
        <span class="namespace">{service.namespace}/</span>
        {service.name}
      </h1>
      <div
        id="service"
        hx-get={withQuery(path, { ...choice })}
        hx-select="#service"
        hx-trigger="change from:body throttle:5s, hello from:body, every 10s"
        hx-sync="this:abort"
      >
        <Policies service={service} />
        {service.frontends.length > 0 && <Chooser service={service} choice={choice} path={path} />}
        {asked === null ? <NothingToAsk service={service} /> : <Way {...props} asked={asked} />}
      </div>
    </>
  );
};

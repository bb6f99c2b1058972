/**
 * The first page: the node, and its Services with their health.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import type { z } from "@hono/zod-openapi";
import { formatSocketAddress } from "../../net/address.ts";
import type { NodeView } from "../node.ts";
import type { ServiceList } from "../schemas.ts";
import { pathTo, withQuery } from "./client.ts";
import { Badge, Bar, counted, Fact } from "./parts.tsx";
import { type Frontend, healthOf, type Service } from "./service_health.ts";

export type Node = z.infer<typeof NodeView>;
export type Services = z.infer<typeof ServiceList>;

/** Services of one page. */
export const PAGE_SIZE = 100;

/** What the first page was asked for. */
export interface OverviewQuery {
  readonly search?: string;
  readonly cursor?: string;
}

interface OverviewProps {
  readonly node: Node;
  readonly services: Services;
  readonly query: OverviewQuery;
}

const NodeFacts: FC<{ node: Node }> = ({ node }) => (
  <dl class="facts">
    <Fact name="Node">{node.name}</Fact>
    <Fact name="Mode">
      {node.mode}
      {!node.programming && <small>answers only</small>}
    </Fact>
    <Fact name="Health" tone={node.healthy ? "good" : "bad"}>
      {node.healthy ? "in step" : `behind since ${node.lastUpdated}`}
    </Fact>
    <Fact name="Services">{node.services.toLocaleString("en")}</Fact>
    <Fact name="Input" tone={node.problemsTotal === 0 ? "good" : "warn"}>
      {node.problemsTotal === 0 ? "no problems" : counted(node.problemsTotal, "problem")}
    </Fact>
  </dl>
);

const Problems: FC<{ node: Node }> = ({ node }) =>
  node.problemsTotal === 0 ? null : (
    <details class="notice warn">
      <summary>{counted(node.problemsTotal, "problem")} of the input</summary>
      <ul class="lines">{node.problems.map((line) => <li>{line}</li>)}</ul>
    </details>
  );

/** Frontends that a row names; the Service's own page has all. */
const SHOWN_FRONTENDS = 4;

const FrontendLine: FC<{ frontend: Frontend }> = ({ frontend }) => (
  <li>
    <span class="kind">{frontend.kind}</span>{" "}
    <code>{formatSocketAddress(frontend.address, frontend.port)}/{frontend.protocol}</code>
  </li>
);

const Row: FC<{ service: Service }> = ({ service }) => {
  const health = healthOf(service);
  const more = service.frontends.length - SHOWN_FRONTENDS;
  return (
    <tr>
      <th scope="row">
        <a href={pathTo("/services", service.namespace, service.name)}>
          <span class="namespace">{service.namespace}/</span>
          {service.name}
        </a>
        <small>{service.headless ? "headless" : service.type}</small>
      </th>
      <td data-label="Frontends">
        <ul class="frontends">
          {service.frontends.slice(0, SHOWN_FRONTENDS).map((frontend) => (
            <FrontendLine frontend={frontend} />
          ))}
          {more > 0 && <li class="quiet">and {more} more</li>}
          {service.headless && <li class="quiet">the pods' own addresses</li>}
          {service.externalName !== undefined && (
            <li>
              <code>{service.externalName}</code>
            </li>
          )}
        </ul>
      </td>
      <td data-label="Health">
        <Badge tone={health.tone}>{health.text}</Badge>
        {health.endpoints > 0 && <Bar share={health.ready / health.endpoints} tone={health.tone} />}
      </td>
    </tr>
  );
};

/** How many Services there are, and how many of them are shown. */
function countShown({ node, services, query }: OverviewProps): string {
  const shown = counted(services.items.length, "Service");
  return query.search || query.cursor || services.next !== null
    ? `${shown} of ${node.services.toLocaleString("en")}`
    : `${shown}, all of them`;
}

const Table: FC<OverviewProps> = (props) => {
  const { node, services: { items } } = props;
  if (items.length === 0) {
    return (
      <p class="quiet">{node.services === 0 ? "There are no Services." : "No Service fits."}</p>
    );
  }
  return (
    <table class="services">
      <caption class="quiet">{countShown(props)}</caption>
      <thead>
        <tr>
          <th scope="col">Service</th>
          <th scope="col">Frontends</th>
          <th scope="col">Health</th>
        </tr>
      </thead>
      <tbody>{items.map((service) => <Row service={service} />)}</tbody>
    </table>
  );
};

/** What events refresh. */
const Live: FC<OverviewProps> = ({ node, services, query }) => (
  <div
    id="overview"
    hx-get={withQuery("/", { ...query })}
    hx-select="#overview"
    hx-trigger="change from:body throttle:1s, problems from:body, hello from:body, every 15s"
    hx-sync="this:abort"
  >
    <NodeFacts node={node} />
    <Problems node={node} />
    <Table node={node} services={services} query={query} />
    {services.next !== null && (
      <p>
        <a
          class="button"
          rel="next"
          href={withQuery("/", { search: query.search, cursor: services.next })}
        >
          Next {PAGE_SIZE} Services
        </a>
      </p>
    )}
  </div>
);

/** The content of the first page. */
export const Overview: FC<OverviewProps> = (props) => (
  <>
    <div class="title">
      <h1>Services</h1>
      <form class="search" role="search" action="/" method="get">
        <label for="search">Find a Service</label>
        <input
          id="search"
          name="search"
          type="search"
          placeholder="a part of namespace/name"
          value={props.query.search}
          maxlength={200}
          autocomplete="off"
          spellcheck={false}
          hx-get="/"
          hx-trigger="input changed delay:250ms"
          hx-target="#overview"
          hx-select="#overview"
          hx-sync="#overview:replace"
        />
        <button type="submit">Find</button>
      </form>
    </div>
    <Live {...props} />
  </>
);

/**
 * The documentation of the API, made from its OpenAPI document.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiClient } from "../client.ts";
import type { Show } from "../layout.tsx";
import { Problem } from "../parts.tsx";
import {
  boundsOf,
  type Content,
  type Document,
  exampleOf,
  type Operation,
  type Parameter,
  refName,
  type Schema,
  typeName,
} from "./document.ts";

/** One method of one path, with its address on the page. */
interface Entry {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** The API's own paths come before those that kube-proxy has too. */
function entriesOf({ paths }: Document): Entry[] {
  const own = ([path]: [string, unknown]) => path.startsWith("/api/") ? 0 : 1;
  const sorted = Object.entries(paths).sort((a, b) => own(a) - own(b));
  return sorted.flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      id: `${method}${path}`.replace(/[^a-zA-Z0-9]+/g, "-").replace(/-$/, ""),
      method: method.toUpperCase(),
      path,
      operation,
    }))
  );
}

const TypeName: FC<{ schema: Schema }> = ({ schema }) => {
  const named = schema.$ref ?? (schema.type === "array" ? schema.items?.$ref : undefined);
  if (named === undefined) return <>{typeName(schema)}</>;
  const name = refName(named);
  return (
    <>
      {schema.$ref === undefined && "list of "}
      <a href={`#shape-${name}`}>{name}</a>
    </>
  );
};

/** Fields of an object, those of inner objects within. */
const Shape: FC<{ schema: Schema }> = ({ schema }) => {
  const inner = schema.type === "array" ? schema.items ?? {} : schema;
  const options = inner.anyOf ?? inner.oneOf;
  if (options?.some((option) => option.properties !== undefined)) {
    return (
      <>
        {options.map((option, i) => (
          <>
            {i > 0 && <p class="quiet">or</p>}
            <Shape schema={option} />
          </>
        ))}
      </>
    );
  }
  const fields = Object.entries(inner.properties ?? {});
  if (fields.length === 0) return null;
  return (
    <ul class="shape">
      {fields.map(([name, field]) => (
        <li>
          <code>{name}</code>{" "}
          <span class="type">
            <TypeName schema={field} />
            {!inner.required?.includes(name) && ", optional"}
            {boundsOf(field) !== "" && `, ${boundsOf(field)}`}
          </span>
          {field.description !== undefined && <>: {field.description}</>}
          <Shape schema={field} />
        </li>
      ))}
    </ul>
  );
};

const Parameters: FC<{ parameters: readonly Parameter[] }> = ({ parameters }) => (
  <table>
    <thead>
      <tr>
        <th scope="col">Parameter</th>
        <th scope="col">Type</th>
        <th scope="col">Meaning</th>
      </tr>
    </thead>
    <tbody>
      {parameters.map(({ name, in: place, required, description, schema = {} }) => (
        <tr>
          <th scope="row">
            <code>{name}</code>
            <small>{place}{required && ", required"}</small>
          </th>
          <td data-label="Type">
            {typeName(schema)}
            <small>{boundsOf(schema)}</small>
          </td>
          <td data-label="Meaning">
            {description ?? schema.description}
            {schema.default !== undefined && <small>default {String(schema.default)}</small>}
            {schema.example !== undefined && <small>for example {String(schema.example)}</small>}
          </td>
        </tr>
      ))}
    </tbody>
  </table>
);

const Bodies: FC<{ document: Document; content: Content; example: boolean }> = (
  { document, content, example },
) => (
  <>
    {Object.entries(content).map(([media, { schema = {} }]) => (
      <>
        <p>
          <code>{media}</code> <TypeName schema={schema} />
          {schema.description !== undefined && <>: {schema.description}</>}
        </p>
        <Shape schema={schema} />
        {example && media === "application/json" && (
          <pre tabindex={0}>{JSON.stringify(exampleOf(document, schema), null, 2)}</pre>
        )}
      </>
    ))}
  </>
);

/** A command that asks it. */
function command(document: Document, { method, path, operation }: Entry): string {
  const example = (parameter: Parameter) =>
    String(exampleOf(document, parameter.schema ?? {}) ?? "");
  const parameters = operation.parameters ?? [];
  const filled = path.replace(/\{(\w+)\}/g, (whole, name) => {
    const parameter = parameters.find((one) => one.in === "path" && one.name === name);
    const value = parameter === undefined ? "…" : example(parameter);
    return value === "…" ? whole : value;
  });
  const query = parameters.filter((one) => one.in === "query" && one.required)
    .map((one) => `${one.name}=${encodeURIComponent(example(one))}`).join("&");
  const url = `localhost:10247${filled}${query === "" ? "" : `?${query}`}`;
  const json = operation.requestBody?.content["application/json"]?.schema;
  if (json === undefined) return `curl ${method === "GET" ? "" : `-X ${method} `}'${url}'`;
  const body = JSON.stringify(exampleOf(document, json));
  return `curl '${url}' -H 'content-type: application/json' \\\n  -d '${body}'`;
}

const OperationView: FC<{ document: Document; entry: Entry }> = ({ document, entry }) => {
  const { id, method, path, operation } = entry;
  const { summary, description, parameters = [], requestBody, responses } = operation;
  return (
    <section class="operation" id={id} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>
        <span class="method">{method}</span>
        <code>{path}</code>
      </h2>
      {summary !== undefined && <p>{summary}.</p>}
      {description !== undefined && <p class="quiet">{description}</p>}
      <pre tabindex={0}>{command(document, entry)}</pre>
      {parameters.length > 0 && <Parameters parameters={parameters} />}
      {requestBody !== undefined && (
        <>
          <h3>Body</h3>
          <Bodies document={document} content={requestBody.content} example={false} />
        </>
      )}
      <h3>Answers</h3>
      <ul class="shape">
        {Object.entries(responses).map(([status, response]) => (
          <li>
            <code>{status}</code> {response.description}
            {Number(status) < 300 && response.content !== undefined && (
              <details>
                <summary>Shape and example</summary>
                <Bodies document={document} content={response.content} example />
              </details>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
};

const Docs: FC<{ document: Document }> = ({ document }) => {
  const entries = entriesOf(document);
  const schemas = Object.entries(document.components?.schemas ?? {});
  return (
    <div class="docs">
      <nav aria-label="Operations">
        <ul>
          {entries.map(({ id, method, path }) => (
            <li>
              <a href={`#${id}`}>
                <strong>{method}</strong> {path}
              </a>
            </li>
          ))}
          {schemas.length > 0 && (
            <li>
              <a href="#shapes">Shapes</a>
            </li>
          )}
        </ul>
      </nav>
      <div>
        <h1>API</h1>
        <p>
          {document.info.description} Version {document.info.version}; for programs:{" "}
          <a href="/openapi.json">/openapi.json</a>.
        </p>
        <p>
          Errors are <code>{'{"error": {"code", "message", "field"}}'}</code>: a word for programs,
          {" "}
          what was wrong and expected, and the field that was wrong. Every answer has an{" "}
          <code>X-Request-Id</code>.
        </p>
        {entries.map((entry) => <OperationView document={document} entry={entry} />)}
        <h2 id="shapes">Shapes</h2>
        {schemas.map(([name, schema]) => (
          <section class="operation" id={`shape-${name}`} aria-labelledby={`shape-${name}-title`}>
            <h3 id={`shape-${name}-title`}>{name}</h3>
            {schema.description !== undefined && <p>{schema.description}</p>}
            <Shape schema={schema} />
          </section>
        ))}
      </div>
    </div>
  );
};

/** Adds the page. */
export function addDocs(app: OpenAPIHono, api: ApiClient, show: Show): void {
  app.get("/docs", async (context) => {
    const reply = await api.get<Document>("/openapi.json");
    const children = reply.ok
      ? <Docs document={reply.body} />
      : <Problem problem={reply.problem} />;
    return show(context, { title: "API", section: "/docs", live: false, children });
  });
}

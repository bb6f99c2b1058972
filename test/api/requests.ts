/** Requests made from an OpenAPI document: such as it asks for, and broken ones. */

import fc from "fast-check";
import { writePcap, writePcapng } from "../capture/writer.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly example?: unknown;
}

interface Parameter {
  readonly name: string;
  readonly in: "query" | "path" | "header";
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, unknown>>;
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema: Schema }>> };
}

/** What is read of a document. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** A request to one operation. */
export interface GeneratedRequest {
  /** "GET /api/v1/services". */
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array<ArrayBuffer> | null;
}

/** Values that mean something to the API, by the names of parameters and fields. */
const TELLING: Readonly<Record<string, readonly string[]>> = {
  source: ["10.180.0.1", "203.0.113.9", "192.168.50.10", "127.0.0.1"],
  dest: ["10.0.1.175", "192.168.50.10", "198.51.100.7", "198.51.100.8"],
  client: ["10.180.0.1", "fd00::1"],
  backend: ["10.180.0.1", "fd00::1"],
  namespace: ["default", "kube-system"],
  name: ["web", "none"],
  service: ["default/web", "default/web:http", "default/none"],
  mode: ["iptables", "userspace", "ipvs", "nftables"],
  cursor: ["e0-0", "e9-1", "k5", "default/web", "x"],
  state: ["ESTABLISHED", "SYN_SENT"],
  "last-event-id": ["x-1", "nonsense"],
};

/** Values that should break something. */
const BROKEN: readonly unknown[] = [
  "",
  " ",
  "0",
  "-1",
  "65536",
  "1e9",
  "NaN",
  "null",
  "\u0000",
  "../../etc/passwd",
  "%",
  "a".repeat(600),
  "__proto__",
  "constructor",
  "::ffff:1.2.3.4",
  "1.2.3.4/33",
  "e9-999",
  "k4294967295",
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  [],
  {},
  [[[]]],
];

/** Requests to each operation of a document, valid and broken mixed, by "METHOD path". */
export function requests(document: Document): Map<string, fc.Arbitrary<GeneratedRequest>> {
  return new Map(
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([name, operation]) => {
        const method = name.toUpperCase();
        return [`${method} ${path}`, request(document, path, method, operation)] as const;
      })
    ),
  );
}

function request(
  document: Document,
  template: string,
  method: string,
  operation: Operation,
): fc.Arbitrary<GeneratedRequest> {
  const parameters = operation.parameters ?? [];
  const values = fc.record(Object.fromEntries(parameters.map((parameter) => [
    `${parameter.in} ${parameter.name}`,
    fc.oneof(
      { weight: 8, arbitrary: valueOf(document, parameter.schema, parameter.name) },
      { weight: 1, arbitrary: fc.constantFrom(...BROKEN) },
      { weight: parameter.required ? 1 : 8, arbitrary: fc.constant(undefined) },
    ),
  ])));
  const extra = fc.oneof(
    { weight: 12, arbitrary: fc.constant("") },
    { weight: 3, arbitrary: fc.constantFrom("unknown=1", "%ff=%fe", "=&&=", "a[]=1", "%") },
  );
  const content = operation.requestBody?.content ?? {};
  const body = bodyFor(document, content);
  const type = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...Object.keys(content), "application/json") },
    { weight: 1, arbitrary: fc.constantFrom("text/plain", "application/xml", "application/jsonx") },
  );
  return fc.record({ values, extra, body, type }).map(({ values, extra, body, type }) => {
    const given = (place: string) =>
      Object.entries(values).filter(([key, value]) =>
        key.startsWith(`${place} `) && value !== undefined
      ).map(([key, value]): [string, string] => [key.slice(place.length + 1), textOf(value)]);
    const path = template.replace(/\{(\w+)\}/g, (_, name) => {
      const value = given("path").find(([key]) => key === name)?.[1] ?? "";
      return encodeURIComponent(value);
    });
    const query = [
      ...given("query").map(([key, value]) => `${key}=${encodeURIComponent(value)}`),
      ...(extra === "" ? [] : [extra]),
    ].join("&");
    const headers = Object.fromEntries(
      given("header").filter(([, value]) => /^[\x21-\x7e]+$/.test(value)),
    );
    return {
      operation: `${method} ${template}`,
      method,
      path: query === "" ? path : `${path}?${query}`,
      headers: body === null ? headers : { ...headers, "content-type": type },
      body,
    };
  });
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** For each type of body that an operation takes: JSON by its schema, else a capture. */
function bodyFor(
  document: Document,
  content: Readonly<Record<string, { schema: Schema }>>,
): fc.Arbitrary<GeneratedRequest["body"]> {
  const json = content["application/json"];
  if (json !== undefined) return bodyOf(document, json.schema);
  return Object.keys(content).length === 0 ? fc.constant(null) : captureBody();
}

/** A capture of packets with any bytes, sometimes cut. */
function captureBody(): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const frames = fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 });
  return fc.tuple(frames, fc.boolean(), fc.constantFrom(0, 0, 0, 1, 9)).map(([data, ng, cut]) => {
    const packets = data.map((data) => ({ data, timeNs: 0n }));
    const file = ng ? writePcapng(packets) : writePcap(packets);
    return file.slice(0, file.length - cut);
  });
}

function bodyOf(document: Document, schema: Schema): fc.Arbitrary<string> {
  const good = valueOf(document, schema);
  return fc.oneof(
    { weight: 8, arbitrary: good.map((value) => JSON.stringify(value)) },
    { weight: 2, arbitrary: fc.json({ maxDepth: 3 }) },
    { weight: 2, arbitrary: good.chain(damaged).map((value) => JSON.stringify(value)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom("", "{", "nul", '{"a":1,}', "\ufeff{}", "[".repeat(9)),
    },
  );
}

/** A value with one field of the first object in it broken, dropped or added. */
function damaged(value: unknown): fc.Arbitrary<unknown> {
  if (Array.isArray(value) && value.length > 0) {
    return damaged(value[0]).map((first) => [first, ...value.slice(1)]);
  }
  if (typeof value !== "object" || value === null) return fc.constantFrom(...BROKEN);
  const fields = value as Record<string, unknown>;
  const names = [...Object.keys(fields), "unknown"];
  return fc.tuple(fc.constantFrom(...names), fc.constantFrom(undefined, ...BROKEN)).chain(
    ([name, broken]) =>
      fc.oneof(
        fc.constant({ ...fields, [name]: broken }),
        damaged(fields[name]).map((inner) => ({ ...fields, [name]: inner })),
      ),
  );
}

/** @param name of the parameter or field. */
function valueOf(document: Document, schema: Schema, name = ""): fc.Arbitrary<unknown> {
  const { $ref, anyOf, oneOf, items } = schema;
  if ($ref !== undefined) {
    return valueOf(document, document.components.schemas[$ref.split("/").at(-1)!], name);
  }
  const options = anyOf ?? oneOf;
  if (options !== undefined) return fc.oneof(...options.map((one) => valueOf(document, one, name)));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const types = typeof schema.type === "string" ? [schema.type] : schema.type ?? [];
  return fc.oneof(...types.map((type): fc.Arbitrary<unknown> => {
    switch (type) {
      case "integer":
      case "number": {
        const range = { min: schema.minimum ?? -1000, max: schema.maximum ?? 100_000 };
        return fc.oneof(
          type === "integer" ? fc.integer(range) : fc.double({ ...range, noNaN: true }),
          fc.constant(schema.example ?? schema.minimum ?? 1),
        );
      }
      case "boolean":
        return fc.boolean();
      case "null":
        return fc.constant(null);
      case "array":
        return fc.array(valueOf(document, items ?? {}), { maxLength: 5 });
      case "object": {
        const { properties = {}, required = [] } = schema;
        const model = Object.fromEntries(
          Object.entries(properties).map(([name, one]) => [name, valueOf(document, one, name)]),
        );
        return fc.record(model, { requiredKeys: [...required] });
      }
      default:
        return fc.oneof(
          { weight: 6, arbitrary: fc.constantFrom(...TELLING[name] ?? [schema.example ?? "x"]) },
          {
            weight: 1,
            arbitrary: fc.string({
              unit: "grapheme",
              maxLength: Math.min(20, schema.maxLength ?? 20),
            }),
          },
        );
    }
  }));
}

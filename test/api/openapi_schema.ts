/** Checks an answer against what /openapi.json says of it. */

import assert from "node:assert/strict";
import { z } from "zod";

interface Document {
  readonly components: { readonly schemas: Record<string, unknown> };
  readonly paths: Record<
    string,
    Record<string, {
      responses: Record<string, { content?: Record<string, { schema: unknown }> }>;
    }>
  >;
}

/** Fails unless the document describes this answer and the body fits its schema. */
export function assertDescribed(
  document: unknown,
  path: string,
  method: string,
  status: number,
  contentType: string,
  body: unknown,
): void {
  const { paths, components } = document as Document;
  const response = paths[path]?.[method]?.responses[status];
  assert.ok(response !== undefined, `${method} ${path} ${status} is not described`);
  const media = contentType.split(";")[0];
  const schema = response.content?.[media]?.schema;
  assert.ok(schema !== undefined, `${method} ${path} ${status}: ${media} is not described`);
  const definitions = JSON.parse(
    JSON.stringify({ schema: closed(schema), $defs: closed(components.schemas) })
      .replaceAll("#/components/schemas/", "#/$defs/"),
  );
  z.fromJSONSchema({ ...definitions.schema, $defs: definitions.$defs }).parse(body);
}

/** The same schemas, with objects that take no properties but those described. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => [key, closed(value)]);
  const copy = Object.fromEntries(entries);
  if (copy.type === "object" && typeof copy.properties === "object") {
    copy.additionalProperties ??= false;
  }
  return copy;
}

/**
 * What is read of an OpenAPI document.
 *
 * @module
 */

/** A JSON schema as the document has it. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly default?: unknown;
  readonly example?: unknown;
}

/** A parameter of an operation. */
export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: Schema;
}

/** Bodies by media type. */
export type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

/** One method of one path. */
export interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<
    Record<string, { readonly description?: string; readonly content?: Content }>
  >;
}

/** A document. */
export interface Document {
  readonly info: {
    readonly title: string;
    readonly version: string;
    readonly description?: string;
  };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

/** The name of a schema that another one refers to. */
export function refName(ref: string): string {
  return ref.split("/").at(-1) ?? ref;
}

/** A type in a few words. */
export function typeName(schema: Schema): string {
  const { $ref, anyOf, oneOf, allOf, items, prefixItems } = schema;
  if ($ref !== undefined) return refName($ref);
  if (allOf !== undefined && allOf.length > 0) return typeName(allOf[0]);
  const options = anyOf ?? oneOf;
  if (options !== undefined) return options.map(typeName).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  }
  if (prefixItems !== undefined) return `[${prefixItems.map(typeName).join(", ")}]`;
  const types = typeof schema.type === "string" ? [schema.type] : schema.type ?? ["anything"];
  return types.map((type) => type === "array" ? `list of ${typeName(items ?? {})}` : type)
    .join(" or ") + (schema.format === undefined ? "" : ` (${schema.format})`);
}

/** How long, great or many; "" for no bounds. */
export function boundsOf({ minimum, maximum, maxLength, maxItems }: Schema): string {
  const parts = [
    minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
      ? `${minimum}–${maximum}`
      : "",
    maxLength === undefined ? "" : `at most ${maxLength} characters`,
    maxItems === undefined ? "" : `at most ${maxItems} items`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** A value that fits a schema, made of its examples. */
export function exampleOf(document: Document, schema: Schema, depth = 0): unknown {
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.$ref !== undefined) {
    const referred = document.components?.schemas?.[refName(schema.$ref)];
    return referred === undefined || depth > 8 ? {} : exampleOf(document, referred, depth + 1);
  }
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const option = schema.allOf?.[0] ?? schema.anyOf?.[0] ?? schema.oneOf?.[0];
  if (option !== undefined) return exampleOf(document, option, depth + 1);
  if (schema.prefixItems !== undefined) {
    return schema.prefixItems.map((item) => exampleOf(document, item, depth + 1));
  }
  const [type] = typeof schema.type === "string" ? [schema.type] : schema.type ?? [];
  switch (type) {
    case "object":
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map((
          [name, one],
        ) => [name, exampleOf(document, one, depth + 1)]),
      );
    case "array":
      return [exampleOf(document, schema.items ?? {}, depth + 1)];
    case "integer":
    case "number":
      return schema.minimum !== undefined && schema.minimum > 0 ? schema.minimum : 0;
    case "boolean":
      return true;
    case "string":
      return schema.format === "date-time" ? "2026-01-01T00:00:00.000Z" : "…";
    default:
      return null;
  }
}

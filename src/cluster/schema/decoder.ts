/**
 * Schemas of objects, and what they make of unknown values.
 *
 * A decoder is a plain function, because a cluster's first list is a million values: it allocates
 * nothing but its result, and a path is put together only where something is wrong.
 *
 * Every message reads "expected …"; what was found instead is added where issues become problems,
 * see issues.ts. As in the API, null counts as absent.
 *
 * @module
 */

/** What was expected, and where: the path grows from the inside out. */
export interface Issue {
  readonly path: (string | number)[];
  readonly message: string;
}

/**
 * Reads a value, perhaps normalising it. Whatever is wrong is added to the issues; what is returned
 * then means nothing.
 */
export type Decoder<T> = (value: unknown, issues: Issue[]) => T;

/** What a decoder makes of values. */
export type Decoded<D> = D extends Decoder<infer T> ? T : never;

/** A scalar: `read` returns the accepted (perhaps normalised) value, or undefined to refuse it. */
export function scalar<T>(expected: string, read: (value: unknown) => T | undefined): Decoder<T> {
  return (value, issues) => {
    const accepted = read(value);
    if (accepted === undefined) refuse(issues, `expected ${expected}`);
    return accepted as T;
  };
}

/** An object of known fields; fields that are unknown, absent or null are not in the result. */
export function object<Shape extends Readonly<Record<string, Decoder<unknown>>>>(
  shape: Shape,
): Decoder<{ [Key in keyof Shape]: Decoded<Shape[Key]> }> {
  const fields = Object.entries(shape);
  const Result = plainObjects();
  return (value, issues) => {
    const result = new Result();
    if (isObject(value)) {
      for (const [key, field] of fields) {
        const found = within(key, field, value[key], issues);
        if (found !== undefined) result[key] = found;
      }
    } else refuse(issues, "expected an object");
    return result as { [Key in keyof Shape]: Decoded<Shape[Key]> };
  };
}

/**
 * A constructor of plain objects of one kind: V8 gives all objects of a constructor room for just
 * the fields that the first of them get, and not for others.
 */
function plainObjects(): new () => Record<string, unknown> {
  const Plain = function () {} as unknown as new () => Record<string, unknown>;
  Plain.prototype = Object.prototype;
  return Plain;
}

/** A list, bounded in length. */
export function list<T>(item: Decoder<T>, maxLength = 100_000): Decoder<T[]> {
  return (value, issues) => {
    if (!Array.isArray(value) || value.length > maxLength) {
      const bound = Array.isArray(value) ? ` of at most ${maxLength} items` : "";
      refuse(issues, `expected a list${bound}`);
      return [];
    }
    const items = new Array<T>(value.length);
    for (let i = 0; i < value.length; i++) items[i] = within(i, item, value[i], issues);
    return items;
  };
}

/** A map of values of one kind, by any keys. */
export function mapOf<T>(item: Decoder<T>, expected: string): Decoder<Record<string, T>> {
  return (value, issues) => {
    const map: Record<string, T> = {};
    if (isMap(value)) {
      for (const key of Object.keys(value)) {
        if (key !== "__proto__") map[key] = within(key, item, value[key], issues);
      }
    } else refuse(issues, `expected ${expected}`);
    return map;
  };
}

/** A field that may be absent or null. */
export function optional<T>(present: Decoder<T>): Decoder<T | undefined> {
  return defaulted(present, undefined);
}

/** A field that has a default when absent or null. */
export function defaulted<T, Fallback>(
  present: Decoder<T>,
  fallback: Fallback,
): Decoder<T | Fallback> {
  return (value, issues) =>
    value === undefined || value === null ? fallback : present(value, issues);
}

/** What a decoder returns, changed or checked further, unless something is wrong with it already. */
export function mapped<T, Result>(
  decoder: Decoder<T>,
  change: (value: T, issues: Issue[]) => Result,
): Decoder<Result> {
  return (value, issues) => {
    const known = issues.length;
    const read = decoder(value, issues);
    return issues.length === known ? change(read, issues) : undefined as Result;
  };
}

/** Adds that something else was expected of a value, or of a part of it. */
export function refuse(issues: Issue[], message: string, path: Issue["path"] = []): void {
  issues.push({ path, message });
}

/** Reads a part of a value; what is wrong with it is wrong there. */
function within<T>(
  step: string | number,
  decoder: Decoder<T>,
  value: unknown,
  issues: Issue[],
): T {
  const known = issues.length;
  const read = decoder(value, issues);
  for (let i = known; i < issues.length; i++) issues[i].path.unshift(step);
  return read;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is an object without a class. */
function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isObject(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

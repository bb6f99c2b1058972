/**
 * What the README says of the parts and the way that data flows, held against every import.
 *
 * @module
 */

import assert from "node:assert/strict";
import { normalize } from "node:path/posix";

/** The parts of src/, from the top: each imports only what stands in a row below its own. */
const ROWS: readonly (readonly string[])[] = [
  ["main.ts"],
  ["commands"],
  ["agent"],
  ["api"],
  ["explain", "replay", "config"],
  ["dataplane", "simulate", "lab", "history", "health_check"],
  ["engine"],
  ["plan"],
  ["services"],
  ["cluster"],
  ["netlink", "rpc"],
  ["linux", "net", "capture", "chart"],
  ["errors.ts", "flat_text.ts", "idle.ts", "replace_file.ts", "standard_streams.ts"],
];

/** What parts name outside src/. */
const OUTSIDE: Readonly<Record<string, readonly string[]>> = {
  commands: ["../examples"],
  config: ["../package.json"],
  engine: ["../asm/", "../wasm/"],
};

/** Parts that compute and do nothing else: no files, network, clock, timers or luck. */
const PURE = ["services", "plan", "explain", "chart", "capture"];

/** By path in src/, the paths that a file names: imports, also lazy ones, and workers. */
const imports = new Map(
  [...sources("")].map((path): [string, string[]] => [path, namedBy(path)]),
);

function* sources(folder: string): Generator<string> {
  for (
    const { name, isDirectory } of Deno.readDirSync(new URL(`../src/${folder}`, import.meta.url))
  ) {
    if (isDirectory) yield* sources(`${folder}${name}/`);
    else if (/\.tsx?$/.test(name)) yield folder + name;
  }
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(`../src/${path}`, import.meta.url));
}

function namedBy(path: string): string[] {
  const named = /(?:\bfrom |\bimport |\bimport\(|\bnew URL\(\s*)"(\.[^"]+)"/g;
  return [...read(path).matchAll(named)].map(([, other]) => normalize(`${path}/../${other}`));
}

function partOf(path: string): string {
  return path.split("/", 1)[0];
}

Deno.test("every import leads down, and few out of src/", () => {
  const rowOf = new Map(ROWS.flatMap((parts, row) => parts.map((part) => [part, row])));
  const edges = [...imports].flatMap(([path, named]) => named.map((other) => ({ path, other })));
  assert.ok(edges.length > 1000, `${edges.length} imports`);
  const wrong = edges.filter(({ path, other }) => {
    const from = partOf(path);
    if (other.startsWith("../")) return !OUTSIDE[from]?.some((own) => other.startsWith(own));
    const to = partOf(other);
    return from !== to && !(rowOf.get(from)! < rowOf.get(to)!);
  });
  assert.deepEqual(wrong, []);
});

Deno.test("no files import each other in a circle", () => {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (path: string) => {
    if (done.has(path)) return;
    assert.ok(!way.includes(path), [...way.slice(way.indexOf(path)), path].join(" → "));
    way.push(path);
    for (const other of imports.get(path) ?? []) visit(other);
    way.pop();
    done.add(path);
  };
  for (const path of imports.keys()) visit(path);
});

Deno.test("parts that compute have no effects", () => {
  const effect =
    /\bDeno\.|\bfetch\(|\bperformance\.|\bDate\.now|\bset(?:Timeout|Interval)|\bMath\.random/;
  const wrong = [...imports.keys()]
    .filter((path) => PURE.includes(partOf(path)))
    .filter((path) => effect.test(read(path)));
  assert.deepEqual(wrong, []);
});

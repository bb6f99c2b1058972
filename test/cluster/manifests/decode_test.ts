import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeFile } from "../../../src/cluster/manifests/decode.ts";
import { identityOfObject } from "../../../src/cluster/control/located.ts";
import { formatProblem } from "../../../src/cluster/source.ts";

const GOOD = "apiVersion: v1\nkind: Service\nmetadata: {name: good}\nspec: {ports: [{port: 80}]}\n";

async function decode(text: string) {
  const decoded = await decodeFile({ name: "f.yaml", text });
  return {
    objects: decoded.objects.map(({ object, where }) => `${where} ${identityOfObject(object)}`),
    problems: decoded.problems.map(formatProblem),
    unreadable: decoded.unreadable,
    broken: [...decoded.broken],
  };
}

/** A broken document, and the problem that it is when it starts at line 6, after a good one. */
const BROKEN: readonly [string, string, string][] = [
  [
    "flow sequence that does not end",
    "a: 1\nb: [1\n",
    "f.yaml:7: broken YAML: Flow sequence in block collection must be sufficiently indented and " +
    "end with a ]",
  ],
  ["tab", "a:\n\tb: 1\n", "f.yaml:7: broken YAML: Tabs are not allowed as indentation"],
  ["quote that does not end", 'a: "b\n', 'f.yaml:6: broken YAML: Missing closing "quote'],
  ["duplicate key", "a: 1\nb:\n  c: 1\n  c: 2\n", 'f.yaml:9: broken YAML: key "c" is there twice'],
  [
    "alias of nothing",
    "a: *b\n",
    "f.yaml:6: broken YAML: Unresolved alias (the anchor must be set before the alias): b",
  ],
  [
    "template that was not rendered",
    "a: 1\nb: {{ .Values.b }}\n",
    "f.yaml:7: broken YAML: a collection as a key, expected a string (is this a template?)",
  ],
  ["scalar", "hello\n", 'f.yaml:6: expected a Kubernetes object, found "hello"'],
  ["list", "- 1\n", "f.yaml:6: expected a Kubernetes object, found a list"],
  ["object without a kind", "a: 1\n", "f.yaml:6: kind: missing, expected a string"],
  [
    "JSON that does not end",
    '{"kind": "Service",\n',
    "f.yaml:6: broken YAML: Flow map must end with a }",
  ],
  [
    "nesting, in brackets",
    `a: ${"[".repeat(200)}\n`,
    "f.yaml:6: broken YAML: nested too deeply, expected at most 100 levels",
  ],
  [
    "nesting, in one line",
    "- ".repeat(200),
    "f.yaml:6: broken YAML: nested too deeply, expected at most 100 levels",
  ],
  [
    "nesting, in JSON",
    '{"a":'.repeat(200) + "1" + "}".repeat(200),
    "f.yaml:6: nested too deeply, expected at most 100 levels",
  ],
  [
    "alias bomb",
    "a: &a [1,2,3,4,5,6,7,8,9]\n" +
    [..."bcdefghij"].map((name, i) =>
      `${name}: &${name} [${Array(9).fill(`*${"abcdefghij"[i]}`).join(",")}]\n`
    ).join(""),
    "f.yaml:6: broken YAML: Excessive alias count indicates a resource exhaustion attack",
  ],
];

for (const [what, text, problem] of BROKEN) {
  Deno.test(`broken document is one line, its neighbours are used: ${what}`, async () => {
    const { objects, problems, unreadable } = await decode(`${GOOD}---\n${text}\n---\n${GOOD}`);
    assert.deepEqual(problems, [problem]);
    assert.equal(objects.length, 2);
    assert(unreadable);
  });
}

Deno.test("lines of problems and objects are those of the file", async () => {
  const text = "# comment\n---\n" + GOOD + "---\n" + GOOD.replace("80", "65536") +
    "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: b\nspec:\n  ports:\n" +
    "    - name: a\n      port: 1\n    - port: 0\n      name: b\n";
  assert.deepEqual(await decode(text), {
    objects: ["f.yaml:3 Service default/good"],
    problems: [
      "f.yaml:11: Service default/good: spec.ports[0].port: " +
      "expected a whole number from 1 to 65535, found 65536",
      "f.yaml:21: Service default/b: spec.ports[1].port: " +
      "expected a whole number from 1 to 65535, found 0",
    ],
    unreadable: false,
    broken: ["Service default/good", "Service default/b"],
  });
});

Deno.test("lines in JSON are found too", async () => {
  const text = '{\n "apiVersion": "v1",\n "kind": "Node",\n "metadata": {\n  "name": 3\n }\n}\n';
  assert.deepEqual((await decode(text)).problems, [
    "f.yaml:5: Node: metadata.name: expected a DNS name (lower case letters, digits, - and ., " +
    "at most 253), found 3",
  ]);
});

Deno.test("lists of all sorts are flattened, other kinds ignored", async () => {
  const text = `apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: ConfigMap, metadata: { name: c } }
  - apiVersion: v1
    kind: List
    items:
      - { apiVersion: v1, kind: Node, metadata: { name: n } }
---
apiVersion: v1
kind: ServiceList
items:
  - metadata: { name: a }
    spec: { ports: [{ port: 1 }] }
  - metadata: { name: b }
    spec: { ports: [{ port: 0 }] }
---
{ "apiVersion": "v1", "kind": "Secret", "metadata": null }
`;
  assert.deepEqual(await decode(text), {
    objects: ["f.yaml:8 Node n", "f.yaml:13 Service default/a"],
    problems: [
      "f.yaml:16: Service default/b: spec.ports[0].port: " +
      "expected a whole number from 1 to 65535, found 0",
    ],
    unreadable: false,
    broken: ["Service default/b"],
  });
});

Deno.test("nothing at all is nothing: empty text, comments, markers, directives, a BOM", async () => {
  for (const text of ["", "\n", "# c\n", "---\n---\n", "%YAML 1.2\n---\n", "\uFEFF---\n...\n"]) {
    assert.deepEqual((await decode(text)).problems, [], JSON.stringify(text));
  }
  assert.equal((await decode(`\uFEFF%YAML 1.2\r\n--- # c\r\n${GOOD}...\n`)).objects.length, 1);
});

Deno.test("anchors and merge keys work", async () => {
  const text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: &l {a: b}}\n" +
    "spec:\n  selector:\n    <<: *l\n    c: d\n  ports: [{port: 1}]\n";
  const { objects: [{ object }] } = await decodeFile({ name: "f", text });
  assert.deepEqual(object.kind === "Service" && object.spec.selector, { a: "b", c: "d" });
});

Deno.test("a document of 10 MB is read, and so are its neighbours", async () => {
  const line = `    ${"x".repeat(95)}\n`;
  const text = `${GOOD}---\napiVersion: v1\nkind: ConfigMap\ndata:\n  big: |\n${
    line.repeat(100_000)
  }---\n${GOOD.replace("good", "other")}`;
  assert(text.length > 10_000_000);
  assert.deepEqual((await decode(text)).objects, [
    "f.yaml:1 Service default/good",
    "f.yaml:100011 Service default/other",
  ]);
});

Deno.test("a megabyte of mistakes ends soon, with few problems", async () => {
  const texts = ["a: ]\n", "\t:\n", "a: *\n", "a: [b\n", "&a ", "!!map ", "? ", "a: 1\na: 1\n"];
  for (const text of texts) {
    const { problems } = await decode(text.repeat(Math.ceil(300_000 / text.length)));
    assert.equal(problems.length, 1, text);
  }
  assert.equal((await decode("a: 1\n---\n".repeat(5000))).problems.length, 101);
});

Deno.test("a text with any part replaced never throws", async () => {
  const pieces = [
    "[",
    "]",
    "{",
    "}",
    ":",
    " ",
    "\n",
    "\t",
    "-",
    "---\n",
    "&a",
    "*a",
    '"',
    "'",
    "|",
  ];
  pieces.push("!!x ", "#", "%", "0", "null", "\u0000", "\ud800", "<<: ", "? ", ">");
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: GOOD.length }),
      fc.nat({ max: 20 }),
      fc.array(fc.constantFrom(...pieces), { maxLength: 12 }),
      async (at, length, inserted) => {
        const text = GOOD.slice(0, at) + inserted.join("") + GOOD.slice(at + length);
        for (const line of (await decode(`${text}\n---\n${GOOD}`)).problems) {
          assert(!line.includes("\n"), line);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

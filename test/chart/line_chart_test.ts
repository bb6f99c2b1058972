import fc from "fast-check";
import assert from "node:assert/strict";
import { lineChart } from "../../src/chart/line_chart.ts";
import { scaleOf } from "../../src/chart/scale.ts";

const finite = fc.double({ min: -1e9, max: 1e9, noNaN: true });

Deno.test("a linear scale holds its range between few round ticks", () => {
  fc.assert(fc.property(finite, finite, (a, b) => {
    const [least, most] = [Math.min(a, b), Math.max(a, b)];
    const { place, ticks } = scaleOf("linear", least, most);
    const slack = 1e-6;
    assert.ok(place(least) >= -slack && place(most) <= 1 + slack);
    assert.ok(ticks.length >= 2 && ticks.length <= 8, String(ticks));
    assert.ok(Math.abs(place(ticks[0])) < slack);
    assert.ok(Math.abs(place(ticks.at(-1)!) - 1) < slack);
  }));
});

Deno.test("a logarithmic scale has whole decades, equally far apart", () => {
  const { place, ticks } = scaleOf("log", 31, 10_000);
  assert.deepEqual(ticks, [10, 100, 1000, 10_000]);
  assert.deepEqual(ticks.map((tick) => Math.round(place(tick) * 3)), [0, 1, 2, 3]);
  assert.equal(place(0), 0);
});

Deno.test("a chart is well-formed XML without scripts, whatever names and values are in it", () => {
  const point = fc.tuple(fc.double(), fc.double());
  const series = fc.record({ name: fc.string({ unit: "binary" }), points: fc.array(point) });
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(fc.array(series), text, fc.constantFrom("linear", "log"), (series, title, kind) => {
      const svg = lineChart({
        title,
        xLabel: "<x>",
        yLabel: "a & b",
        xScale: kind,
        yScale: kind,
        series,
        marks: [{ x: 1, label: title }],
      });
      assertWellFormed(svg);
      assert.ok(!/"[^"]*(NaN|Infinity)[^"]*"/.test(svg.replaceAll(/<title>[^<]*/g, "")), svg);
    }),
  );
});

Deno.test("lines go where their points are", () => {
  const svg = lineChart({
    title: "t",
    xLabel: "x",
    yLabel: "y",
    series: [{ name: "one", points: [[0, 0], [10, 10]] }, { name: "two", points: [[5, 5]] }],
  });
  const lines = [...svg.matchAll(/points="([^"]*)"/g)].map(([, points]) => points);
  assert.deepEqual(lines, ["64,340 584,60", "324,200"]);
  assert.match(svg, />one<.*\n.*>two</);
});

/** Tags nest, and what is between them has no bare `<` or `&`. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  const tag = /<(\/?)(\w+)((?: [\w:-]+="[^"<]*")*)(\/?)>/y;
  for (let at = 0; at < svg.length;) {
    if (svg[at] !== "<") {
      const end = svg.indexOf("<", at) < 0 ? svg.length : svg.indexOf("<", at);
      assert.ok(!/&(?!#\d+;)/.test(svg.slice(at, end)));
      at = end;
      continue;
    }
    tag.lastIndex = at;
    const match = tag.exec(svg);
    assert.ok(match !== null, svg.slice(at, at + 200));
    const [whole, closing, name, , empty] = match;
    if (closing === "/") assert.equal(open.pop(), name);
    else if (empty === "") open.push(name);
    at += whole.length;
  }
  assert.deepEqual(open, []);
}

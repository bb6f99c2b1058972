/**
 * Line charts as SVG: without scripts, styles or anything from elsewhere, so that they show in a
 * page of any policy, light or dark.
 *
 * @module
 */

import { LARGEST, type Scale, scaleOf, SMALLEST } from "./scale.ts";

/** One line. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Something that happened at a place of the x axis. */
export interface Mark {
  readonly x: number;
  readonly label: string;
}

/** What is drawn. */
export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xScale?: "linear" | "log";
  readonly yScale?: "linear" | "log";
  readonly series: readonly Series[];
  readonly marks?: readonly Mark[];
}

const WIDTH = 760;
const PLOT = { left: 64, top: 60, width: 520, height: 280 } as const;
const HEIGHT = PLOT.top + PLOT.height + 56;

/** Distinct also to those who don't see all colours (Okabe and Ito), on white and on black. */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c"];
/** With the next round of colours, lines are dashed otherwise. */
const DASHES = ["", "6 3", "2 3"];

/** The chart as an SVG document. */
export function lineChart(chart: LineChart): string {
  const { title, series, marks = [] } = chart;
  const xs = [
    ...series.flatMap(({ points }) => points.map(([x]) => x)),
    ...marks.map(({ x }) => x),
  ];
  const ys = series.flatMap(({ points }) => points.map(([, y]) => y));
  const x = scaleFor(chart.xScale ?? "linear", xs);
  const y = scaleFor(chart.yScale ?? "linear", ys);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" ` +
    `height="${HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="12" ` +
    `fill="#767676">`,
    `<title>${escape(title)}</title>`,
    `<text x="${PLOT.left}" y="24" font-size="15">${escape(title)}</text>`,
    ...xAxis(x, chart.xLabel),
    ...yAxis(y, chart.yLabel),
    ...marks.map((mark) => markLine(mark, x)),
    ...series.map(({ points }, i) => line(points, i, x, y)),
    ...series.map(({ name }, i) => legend(name, i)),
    "</svg>",
    "",
  ].join("\n");
}

/** Of the values that can have a place on it. */
function scaleFor(kind: "linear" | "log", values: readonly number[]): Scale {
  const shown = values.filter((value) => isShown(value) && (kind === "linear" || value > SMALLEST));
  if (shown.length === 0) return scaleOf(kind, 1, 10);
  const least = shown.reduce((a, b) => Math.min(a, b));
  return scaleOf(kind, least, shown.reduce((a, b) => Math.max(a, b)));
}

function isShown(value: number): boolean {
  return Math.abs(value) <= LARGEST;
}

function xAt(scale: Scale, value: number): number {
  return round(PLOT.left + scale.place(value) * PLOT.width);
}

function yAt(scale: Scale, value: number): number {
  return round(PLOT.top + (1 - scale.place(value)) * PLOT.height);
}

function xAxis(scale: Scale, label: string): string[] {
  const bottom = PLOT.top + PLOT.height;
  return [
    ...scale.ticks.map((tick) => {
      const at = xAt(scale, tick);
      return `<text x="${at}" y="${bottom + 18}" text-anchor="middle">${format(tick)}</text>`;
    }),
    `<text x="${PLOT.left + PLOT.width / 2}" y="${bottom + 40}" text-anchor="middle">` +
    `${escape(label)}</text>`,
  ];
}

function yAxis(scale: Scale, label: string): string[] {
  const right = PLOT.left + PLOT.width;
  return [
    ...scale.ticks.flatMap((tick) => {
      const at = yAt(scale, tick);
      return [
        `<line x1="${PLOT.left}" y1="${at}" x2="${right}" y2="${at}" stroke="#767676" ` +
        `stroke-opacity="0.25"/>`,
        `<text x="${PLOT.left - 8}" y="${at + 4}" text-anchor="end">${format(tick)}</text>`,
      ];
    }),
    `<text x="${PLOT.left - 8}" y="${PLOT.top - 10}">${escape(label)}</text>`,
  ];
}

function markLine({ x, label }: Mark, scale: Scale): string {
  const at = xAt(scale, x);
  return `<line x1="${at}" y1="${PLOT.top}" x2="${at}" y2="${PLOT.top + PLOT.height}" ` +
    `stroke="#767676" stroke-dasharray="3 3"><title>${escape(label)}</title></line>`;
}

function pen(i: number): string {
  const dash = DASHES[Math.floor(i / COLOURS.length) % DASHES.length];
  return `stroke="${COLOURS[i % COLOURS.length]}" stroke-width="2" fill="none"` +
    (dash === "" ? "" : ` stroke-dasharray="${dash}"`);
}

function line(points: Series["points"], i: number, x: Scale, y: Scale): string {
  const places = points.filter((point) => point.every(isShown))
    .map(([at, value]) => `${xAt(x, at)},${yAt(y, value)}`);
  return `<polyline ${pen(i)} points="${places.join(" ")}"/>`;
}

function legend(name: string, i: number): string {
  const left = PLOT.left + PLOT.width + 24;
  const at = PLOT.top + 8 + i * 18;
  return `<line x1="${left}" y1="${at}" x2="${left + 24}" y2="${at}" ${pen(i)}/>` +
    `<text x="${left + 32}" y="${at + 4}">${escape(name)}</text>`;
}

function format(value: number): string {
  return value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)
    ? value.toExponential()
    : value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 6 });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Text as XML has it; what XML cannot have is left out. */
function escape(text: string): string {
  // deno-lint-ignore no-control-regex -- exactly these are not allowed
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
    .replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/**
 * A packet's way as a picture: wide, from left to right, and narrow, from top to bottom. The style
 * sheet shows the one that fits.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import { percent } from "../parts.tsx";
import type { End, Path, Stop } from "./path.ts";

/** Where a box is, in units of about a pixel. */
interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const CARD = 52;
const END = 78;
const GAP = 16;
/** Units that a letter takes, of the two sizes of type. */
const TITLE_LETTER = 8.2;
const DETAIL_LETTER = 6.7;
/** What a share or a number of connections takes at the end of a line, with the space before it. */
const FIGURE = 64;

/** Cuts what does not fit, in the middle: names differ at their ends. */
function fitted(text: string, width: number, letter: number): string {
  const most = Math.max(4, Math.floor(width / letter));
  const letters = [...text];
  if (letters.length <= most) return text;
  const head = Math.ceil((most - 1) / 2);
  return `${letters.slice(0, head).join("")}…${
    letters.slice(letters.length - most + 1 + head).join("")
  }`;
}

const Card: FC<{ box: Box; stop: Stop; kind: string }> = ({ box, stop, kind }) => {
  const room = box.width - 24;
  return (
    <g class={`card ${kind}`}>
      <title>{`${stop.title}: ${stop.detail}`}</title>
      <rect x={box.x} y={box.y} width={box.width} height={box.height} rx="8" />
      <text class="name" x={box.x + 12} y={box.y + 22}>
        {fitted(stop.title, room, TITLE_LETTER)}
      </text>
      <text class="detail" x={box.x + 12} y={box.y + 40}>
        {fitted(stop.detail, room, DETAIL_LETTER)}
      </text>
    </g>
  );
};

/** Of all connections that the ends have now, those of one; null where none are known. */
function liveShare(end: End, ends: readonly End[]): number | null {
  const total = ends.reduce((sum, { connections }) => sum + (connections ?? 0), 0);
  return end.connections === null || total === 0 ? null : end.connections / total;
}

const EndCard: FC<{ box: Box; end: End; live: number | null }> = ({ box, end, live }) => {
  const share = percent(end.probability);
  const now = end.connections === null ? "" : `${end.connections} now`;
  const room = box.width - 24;
  const bar = { x: box.x + 12, y: box.y + box.height - 12, width: room };
  return (
    <g class={`card end ${end.verdict === "FORWARD" ? "good" : "bad"}`}>
      <title>{`${end.title} ${end.detail}: ${share} of new connections`}</title>
      <rect x={box.x} y={box.y} width={box.width} height={box.height} rx="8" />
      <text class="name" x={box.x + 12} y={box.y + 21}>
        {fitted(end.title, room - FIGURE, TITLE_LETTER)}
      </text>
      <text class="share" x={box.x + box.width - 12} y={box.y + 21} text-anchor="end">{share}</text>
      <text class="detail" x={box.x + 12} y={box.y + 39}>
        {fitted(end.detail, room - FIGURE, DETAIL_LETTER)}
      </text>
      <text class="detail" x={box.x + box.width - 12} y={box.y + 39} text-anchor="end">{now}</text>
      <text class="detail" x={box.x + 12} y={box.y + 56}>
        {end.by === null ? "" : fitted(`by ${end.by}`, room, DETAIL_LETTER)}
      </text>
      <rect class="rail" {...bar} height="4" rx="2" />
      <rect class="fill" {...bar} width={bar.width * end.probability} height="4" rx="2" />
      {live !== null && (
        <rect
          class="mark"
          x={bar.x + bar.width * live - 1}
          y={bar.y - 3}
          width="3"
          height="10"
          rx="1.5"
        />
      )}
    </g>
  );
};

/** Thick where much goes. */
const weight = (probability: number) => 1.5 + 5 * probability;

/** A curve between two places that leaves and arrives level. */
function curve(x1: number, y1: number, x2: number, y2: number): string {
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

function stacked(count: number, height: number): number {
  return count * height + (count - 1) * GAP;
}

const Wide: FC<{ path: Path; label: string }> = ({ path, label }) => {
  const { client, frontend, rules, ends } = path;
  const [left, middle, right] = [
    { x: 1, width: 230 },
    { x: 300, width: 300 },
    { x: 718, width: 281 },
  ];
  const height = Math.max(stacked(2, CARD), stacked(rules.length, CARD), stacked(ends.length, END));
  const column = (count: number, each: number, { x, width }: { x: number; width: number }) => {
    const top = (height - stacked(count, each)) / 2 + 1;
    return (i: number): Box => ({ x, y: top + i * (each + GAP), width, height: each });
  };
  const asked = column(2, CARD, left);
  const ruled = column(rules.length, CARD, middle);
  const ended = column(ends.length, END, right);
  const centre = (box: Box) => box.y + box.height / 2;
  const door = asked(1);
  const first = rules.length === 0 ? null : ruled(0);
  const last = rules.length === 0 ? door : ruled(rules.length - 1);
  return (
    <svg class="path wide" viewBox={`0 0 1000 ${height + 2}`} role="img" aria-label={label}>
      <path
        class="edge"
        stroke-width="1.5"
        d={`M${asked(0).x + 115} ${asked(0).y + CARD}v${GAP}`}
      />
      {first !== null && (
        <path
          class="edge"
          stroke-width="1.5"
          d={curve(door.x + door.width, centre(door), first.x, centre(first))}
        />
      )}
      {rules.slice(1).map((_, i) => (
        <path
          class="edge"
          stroke-width="1.5"
          d={`M${middle.x + 150} ${ruled(i).y + CARD}v${GAP}`}
        />
      ))}
      {ends.map((end, i) => (
        <path
          class={`edge ${end.verdict === "FORWARD" ? "flow" : "stop"}`}
          stroke-width={weight(end.probability)}
          d={curve(last.x + last.width, centre(last), ended(i).x, centre(ended(i)))}
        />
      ))}
      <Card box={asked(0)} stop={client} kind="client" />
      <Card box={door} stop={frontend} kind="frontend" />
      {rules.map((rule, i) => <Card box={ruled(i)} stop={rule} kind="rule" />)}
      {ends.map((end, i) => <EndCard box={ended(i)} end={end} live={liveShare(end, ends)} />)}
    </svg>
  );
};

const Narrow: FC<{ path: Path; label: string }> = ({ path, label }) => {
  const { client, frontend, rules, ends } = path;
  const stops: (Stop & { kind: string })[] = [
    { ...client, kind: "client" },
    { ...frontend, kind: "frontend" },
    ...rules.map((rule) => ({ ...rule, kind: "rule" })),
  ];
  const stop = (i: number): Box => ({ x: 1, y: 1 + i * (CARD + GAP), width: 298, height: CARD });
  const top = 1 + stops.length * (CARD + GAP);
  const end = (i: number): Box => ({ x: 31, y: top + i * (END + GAP), width: 268, height: END });
  const from = stop(stops.length - 1);
  const height = top + stacked(ends.length, END) + 1;
  return (
    <svg class="path narrow" viewBox={`0 0 300 ${height}`} role="img" aria-label={label}>
      {stops.slice(1).map((_, i) => (
        <path class="edge" stroke-width="1.5" d={`M150 ${stop(i).y + CARD}v${GAP}`} />
      ))}
      {ends.map((one, i) => (
        <path
          class={`edge ${one.verdict === "FORWARD" ? "flow" : "stop"}`}
          stroke-width={weight(one.probability)}
          d={`M14 ${from.y + CARD}V${end(i).y + END / 2 - 8}q0 8 8 8H31`}
        />
      ))}
      {stops.map(({ kind, ...rest }, i) => <Card box={stop(i)} stop={rest} kind={kind} />)}
      {ends.map((one, i) => <EndCard box={end(i)} end={one} live={liveShare(one, ends)} />)}
    </svg>
  );
};

/** What the picture shows, for those who do not see it. */
function sentenceOf({ client, frontend, rules, ends }: Path): string {
  const where = ends.map((end) => `${end.title} ${percent(end.probability)}`).join(", ");
  const way = rules.length === 0 ? "" : ` by ${rules.map(({ title }) => title).join(", ")}`;
  return `From ${client.detail} to ${frontend.detail}${way}, to ${where}.`;
}

/** The picture. */
export const PathDrawing: FC<{ path: Path }> = ({ path }) => {
  const label = sentenceOf(path);
  return (
    <figure class="drawing">
      <Wide path={path} label={label} />
      <Narrow path={path} label={label} />
      <figcaption>
        Bars are the share of new connections
        {path.ends.some((end) => end.connections !== null && end.connections > 0) &&
          "; a mark stands at the share of the connections that there are now"}.
      </figcaption>
    </figure>
  );
};

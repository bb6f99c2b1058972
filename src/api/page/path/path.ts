/**
 * A packet's way as it is drawn: from the client over a frontend and the rules on the way to the
 * ends that it may have.
 *
 * @module
 */

import { formatSocketAddress } from "../../../net/address.ts";
import type { ExplanationView } from "../../explanation.ts";

type Step = ExplanationView["steps"][number];
type Outcome = ExplanationView["outcomes"][number];

/** Something on the way. */
export interface Stop {
  readonly title: string;
  readonly detail: string;
}

/** Where the packet may end up. */
export interface End {
  /** The pod, or the address where no pod is known, or the verdict. */
  readonly title: string;
  readonly detail: string;
  /** The chain or rule that leads there alone; null where nothing does. */
  readonly by: string | null;
  readonly probability: number;
  /** Connections that it has now; null where that is not known. */
  readonly connections: number | null;
  readonly verdict: "FORWARD" | "REJECT" | "DROP" | "PASS";
}

/** A drawn way. The probabilities of the ends sum to 1. */
export interface Path {
  readonly client: Stop;
  readonly frontend: Stop;
  readonly rules: readonly Stop[];
  readonly ends: readonly End[];
}

/** What is known of a backend beside its address. */
export interface KnownBackend {
  readonly pod?: string;
  readonly node?: string;
  readonly connections: number | null;
}

/** Ends that are drawn; the least likely ones share the last place. */
const MOST_ENDS = 10;

/** @param known backends by "address port". */
export function pathOf(
  explanation: Pick<ExplanationView, "steps" | "outcomes">,
  client: Stop,
  frontend: Stop,
  known: ReadonlyMap<string, KnownBackend>,
): Path {
  const { steps, outcomes } = explanation;
  const ways = outcomes.map((outcome) => untilChosen(outcome, steps));
  const trunk = commonStart(ways);
  const own = ways.map((way) => way.slice(trunk).map((index) => steps[index]));
  const rules = ways[0]?.slice(0, trunk).map((index) => stopOf(steps[index])) ?? [];
  return {
    client,
    frontend,
    rules: [...rules, ...choiceOf(own)],
    ends: gathered(outcomes.map((outcome, i) => endOf(outcome, own[i], known))),
  };
}

/** The chain in which the ways part, if it is one. */
function choiceOf(own: readonly (readonly Step[])[]): Stop[] {
  const parting = own.map((steps) => steps.at(0));
  const chain = parting.at(0)?.chain ?? null;
  if (own.length < 2 || chain === null || parting.some((step) => step?.chain !== chain)) return [];
  const numbers = parting.map((step) => step?.rule ?? 0);
  const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
  const chooses = first === last
    ? `rule ${first} chooses by chance`
    : `rules ${first}–${last} choose by chance`;
  return [{ title: chain, detail: chooses }];
}

/** The way to a backend ends where it is chosen: what comes behind it is the same for all. */
function untilChosen({ verdict, steps: way }: Outcome, steps: readonly Step[]): readonly number[] {
  if (verdict !== "FORWARD") return way;
  const { hook } = steps[way[0]];
  const end = way.findIndex((index) => steps[index].hook !== hook);
  return end === -1 ? way : way.slice(0, end);
}

function commonStart(ways: readonly (readonly number[])[]): number {
  let length = 0;
  const first = ways[0] ?? [];
  while (length < first.length && ways.every((way) => way[length] === first[length])) length++;
  return length;
}

function stopOf({ chain, rule, text, action }: Step): Stop {
  if (chain === null) return { title: text, detail: action };
  return { title: rule === null ? chain : `${chain} rule ${rule}`, detail: action };
}

function endOf(
  { verdict, backend, probability }: Outcome,
  own: readonly Step[],
  known: ReadonlyMap<string, KnownBackend>,
): End {
  const by = own.slice(1).findLast((step) => step.chain !== null)?.chain ?? null;
  if (backend === null) {
    const last = own.at(-1);
    return {
      title: verdict,
      detail: last?.action ?? SAYING[verdict],
      by,
      probability,
      connections: null,
      verdict,
    };
  }
  const end = formatSocketAddress(backend.address, backend.port);
  const found = known.get(`${backend.address} ${backend.port}`);
  const pod = found?.pod?.split("/").at(-1);
  return {
    title: pod ?? end,
    detail: pod === undefined ? found?.node ?? "" : end,
    by,
    probability,
    connections: found?.connections ?? null,
    verdict,
  };
}

const SAYING: Readonly<Record<End["verdict"], string>> = {
  FORWARD: "goes on to a backend",
  REJECT: "refused with an answer",
  DROP: "dropped without an answer",
  PASS: "goes on as it is",
};

/** The likeliest ends, and one for all others. */
function gathered(ends: readonly End[]): readonly End[] {
  if (ends.length <= MOST_ENDS) return ends;
  const sorted = ends.toSorted((a, b) => b.probability - a.probability);
  const rest = sorted.slice(MOST_ENDS - 1);
  const total = (of: (end: End) => number) => rest.reduce((sum, end) => sum + of(end), 0);
  return [...sorted.slice(0, MOST_ENDS - 1), {
    title: `${rest.length} more`,
    detail: "in the table below",
    by: null,
    probability: total((end) => end.probability),
    connections: rest.every((end) => end.connections === null)
      ? null
      : total((end) => end.connections ?? 0),
    verdict: "FORWARD",
  }];
}

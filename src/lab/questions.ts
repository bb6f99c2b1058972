/**
 * Which real requests show that a plan is in force, and what the answers must be.
 *
 * @module
 */

import { familyOf, formatSocketAddress, networkContains, parseNetwork } from "../net/address.ts";
import type {
  Backend,
  Frontend,
  FrontendKind,
  NodeInfo,
  ServicePlan,
  ServicePortPlan,
} from "../plan/plan.ts";
import { servicePortName } from "../plan/plan.ts";
import type { Outcome, Target } from "./probe.ts";
import type { Client } from "./topology.ts";

/** What must come of every question. */
export type Expectation =
  /** One of these endpoints answers; with affinity, always the same one. */
  | {
    readonly verdict: "answer";
    readonly backends: readonly Backend[];
    readonly affinity: boolean;
  }
  | { readonly verdict: "refused" }
  | { readonly verdict: "timeout" };

/** One frontend, one client, some questions. */
export interface Question {
  /** kube-proxy's service port name: "namespace/name:port". */
  readonly service: string;
  readonly kind: FrontendKind;
  readonly target: Target;
  /** Name of the client. */
  readonly from: string;
  readonly count: number;
  readonly expected: Expectation;
}

/** The fewest questions to a frontend that forwards: enough to see a pattern. */
const MIN_QUESTIONS = 6;
/** The most, unless there are more backends than that. */
const MAX_QUESTIONS = 30;

/**
 * The questions for Services, in their order. The first client asks every frontend; the others ask
 * only where source ranges treat clients differently. All clients are outside the cluster.
 */
export function questionsFor(
  services: Iterable<ServicePlan>,
  node: NodeInfo,
  clients: readonly Client[],
): Question[] {
  const questions: Question[] = [];
  for (const service of services) {
    for (const port of service.ports) {
      if (port.protocol === "SCTP") continue;
      for (const frontend of port.frontends) {
        for (const address of addressesOf(frontend, port, node)) {
          const asking = frontend.sourceRanges === null ? clients.slice(0, 1) : clients;
          for (const client of asking) {
            const source = client.addresses.find((own) => familyOf(own) === port.family);
            if (source === undefined) continue;
            const expected = expectation(port, frontend, source);
            questions.push({
              service: servicePortName(port),
              kind: frontend.kind,
              target: { address, port: frontend.port, protocol: port.protocol },
              from: client.name,
              count: countFor(expected),
              expected,
            });
          }
        }
      }
    }
  }
  return questions;
}

function addressesOf(frontend: Frontend, port: ServicePortPlan, node: NodeInfo): string[] {
  if (frontend.address !== null) return [frontend.address];
  return node.nodePortAddresses.filter((address) => familyOf(address) === port.family);
}

function expectation(port: ServicePortPlan, frontend: Frontend, source: string): Expectation {
  const allowed = frontend.sourceRanges?.some((range) => {
    const network = parseNetwork(range);
    return network !== null && networkContains(network, source);
  }) ?? true;
  if (!allowed) return { verdict: "timeout" };
  const route = frontend.routes.outside;
  if (route.action === "reject") return { verdict: "refused" };
  if (route.action === "drop") return { verdict: "timeout" };
  return {
    verdict: "answer",
    backends: port[route.to],
    affinity: port.affinitySeconds !== null,
  };
}

/** A whole number of rounds over the backends, so that round robin shows equal counts. */
function countFor(expected: Expectation): number {
  switch (expected.verdict) {
    case "timeout":
      return 1;
    case "refused":
      return 2;
    case "answer": {
      const backends = Math.max(1, expected.backends.length);
      const rounds = 2 * backends > MAX_QUESTIONS
        ? 1
        : Math.max(2, Math.ceil(MIN_QUESTIONS / backends));
      return rounds * backends;
    }
  }
}

/**
 * What is wrong with the outcomes of a question, or null when they are as expected. `nameAt` gives
 * the name that the server at an address answers with.
 */
export function mismatch(
  question: Question,
  outcomes: readonly Outcome[],
  nameAt: (address: string) => string | undefined,
): string | null {
  const { expected } = question;
  const other = outcomes.find((outcome) => outcome.kind !== expected.verdict);
  if (expected.verdict !== "answer") {
    return other === undefined ? null : `expected: ${DESCRIPTION[expected.verdict]}`;
  }
  if (other !== undefined) {
    const sockets = expected.backends.map(({ address, port }) =>
      formatSocketAddress(address, port)
    );
    return `expected an answer from ${sockets.join(", ")}`;
  }
  const allowed = new Set(expected.backends.map(({ address }) => nameAt(address)));
  const answered = answers(outcomes);
  const stranger = [...answered.keys()].find((pod) => !allowed.has(pod));
  if (stranger !== undefined) return `${stranger} is no backend of it`;
  if (expected.affinity && answered.size > 1) return "expected one pod (session affinity)";
  return null;
}

const DESCRIPTION = { refused: "refused at once", timeout: "silence" } as const;

/** How often each name answered, by name. */
export function answers(outcomes: readonly Outcome[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const outcome of outcomes) {
    if (outcome.kind === "answer") counts.set(outcome.pod, (counts.get(outcome.pod) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * For which senders an answer holds, tried on any rules.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Answered, Flow } from "../../src/explain/answer.ts";
import { parseNetwork } from "../../src/net/address.ts";

/** The node's own address. */
export const NODE = "192.168.0.2";

/** Routes to the addresses that are asked about, and from there. */
export const ROUTES = [["10.0.0.0/30", "eth0"], ["0.0.0.0/0", "eth1"]]
  .map(([network, name]) => ({ network: parseNetwork(network)!, interface: name }));

/** What is asked about, and how well it has to go. */
export interface SenderCheck<Node> {
  readonly nodes: fc.Arbitrary<Node>;
  readonly answerer: (node: Node) => (flow: Flow) => Answered;
  /** Addresses of the node's besides {@link NODE}. */
  readonly virtual?: readonly string[];
  readonly numRuns: number;
  /** Which share of the answers that are alike have to say so. */
  readonly leastSaid: number;
}

/** Checks that an answer which says that it is another sender's is that sender's, word for word. */
export function checkSenders<Node>(
  { nodes, answerer, virtual = [], numRuns, leastSaid }: SenderCheck<Node>,
): void {
  const target = fc.record({
    name: fc.constant(""),
    dest: fc.constantFrom("10.0.0.2", "10.0.0.3", NODE, ...virtual),
    port: fc.constantFrom(80, 81),
    protocol: fc.constantFrom("TCP" as const, "UDP" as const),
  });
  const sender = fc.record({
    // Addresses near one another, the node's, and one of a client that has none.
    source: fc.constantFrom(
      ...["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", NODE, "127.0.0.1"],
      ...virtual,
    ),
    sourcePort: fc.constantFrom(undefined, 20, 1500, 4000),
  });
  let asked = 0;
  let same = 0;
  let alike = 0;
  const senders = fc.array(sender, { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(nodes, target, senders, (node, target, senders) => {
      const ask = answerer(node);
      const answers = senders.map((from) => ask({ ...target, ...from }));
      for (const { answer, sender } of answers) {
        for (const [i, { source, sourcePort }] of senders.entries()) {
          const equal = JSON.stringify(answer) === JSON.stringify(answers[i].answer);
          const said = sender.sameFor(source, sourcePort);
          assert(equal || !said, `${source}: ${JSON.stringify(answer, null, 1)}`);
          asked++;
          if (equal) alike++;
          if (said) same++;
        }
      }
    }),
    { seed: 1, numRuns },
  );
  assert(same > leastSaid * alike && alike > 0.3 * asked, `${same} of ${alike} of ${asked}`);
}

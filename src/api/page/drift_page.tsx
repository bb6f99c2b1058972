/**
 * What the node has otherwise than it should, and where engine and rules do not agree.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import { formatSocketAddress } from "../../net/address.ts";
import type { DiffView } from "../diff.ts";
import type { Reply } from "./client.ts";
import { counted, Notice, Problem, type Tone } from "./parts.tsx";

/** Differences and disputes that are shown. */
const MOST_SHOWN = 50;

type Difference = NonNullable<DiffView["differences"]>[number];
type Verification = NonNullable<DiffView["verification"]>;

const MARKS: Readonly<Record<Difference["problem"], Tone>> = {
  missing: "bad",
  unexpected: "warn",
  changed: "warn",
};

const DifferenceItem: FC<{ difference: Difference }> = ({ difference }) => (
  <li>
    <p>
      <span class={`badge ${MARKS[difference.problem]}`}>{difference.problem}</span>{" "}
      <strong>{difference.where}</strong>
    </p>
    <pre class="diff" tabindex={0}>{[
      ...difference.expected.map((line) => <span class="gone">{`- ${line}\n`}</span>),
      ...difference.found.map((line) => <span class="come">{`+ ${line}\n`}</span>),
    ]}</pre>
  </li>
);

const Differences: FC<{ differences: readonly Difference[] | null }> = ({ differences }) => {
  if (differences === null) {
    return (
      <Notice tone="plain" title="This node is not programmed.">
        <p>Only queries are answered here, so that nothing can drift.</p>
      </Notice>
    );
  }
  if (differences.length === 0) {
    return (
      <Notice tone="good" title="The node is as it should be.">
        <p>What it has is what the last sync left.</p>
      </Notice>
    );
  }
  return (
    <>
      <Notice
        tone="bad"
        title={`The node is otherwise than it should be in ${
          counted(differences.length, "place")
        }.`}
      >
        <p>Lines with − should be there, lines with + should not.</p>
      </Notice>
      <ul class="differences">
        {differences.slice(0, MOST_SHOWN).map((one) => <DifferenceItem difference={one} />)}
      </ul>
    </>
  );
};

const Verified: FC<{ verification: Verification }> = ({ verification }) => {
  const { asked, disputes, known, next, stable, rules } = verification;
  const what = { synced: "the rules of the last sync", node: "the node's rules", plan: "the plan" };
  const rest = [
    known > 0 ? `${counted(known, "known peculiarity", "known peculiarities")} of the mode` : "",
    next === null ? "" : "there are more Services than one request asks about",
    stable ? "" : "the plan changed meanwhile",
  ].filter((text) => text !== "").join("; ");
  return (
    <>
      <Notice
        tone={disputes.length === 0 ? "good" : "bad"}
        title={disputes.length === 0
          ? `The engine and ${what[rules]} agree about ${counted(asked, "packet")}.`
          : `The engine and ${what[rules]} do not agree about ${
            counted(disputes.length, "packet")
          } of ${asked.toLocaleString("en")}.`}
      >
        {rest !== "" && <p>{rest}.</p>}
      </Notice>
      {disputes.length > 0 && (
        <ul class="differences">
          {disputes.slice(0, MOST_SHOWN).map(({ packet, service, frontend, disagreements }) => (
            <li>
              <p>
                <strong>{service}</strong> {frontend}{" "}
                <code>
                  {packet.source} →{" "}
                  {formatSocketAddress(packet.dest, packet.port)}/{packet.protocol}
                </code>
              </p>
              <ul class="lines">
                {disagreements.map(({ field, engine, rules: other, known: why }) => (
                  <li>
                    {field}: the engine says {engine}, the rules {other}
                    {why !== null && ` (${why})`}
                  </li>
                ))}
              </ul>
            </li>
          ))}
        </ul>
      )}
    </>
  );
};

/** The page. */
export const DriftPage: FC<{ reply: Reply<DiffView> }> = ({ reply }) => (
  <>
    <h1>Is the node as it should be?</h1>
    <div
      id="drift"
      hx-get="/drift"
      hx-select="#drift"
      hx-trigger="drift from:body, change from:body throttle:2s"
      hx-sync="this:abort"
    >
      {reply.ok
        ? (
          <>
            <Differences differences={reply.body.differences} />
            {reply.body.verification !== null && (
              <Verified
                verification={reply.body.verification}
              />
            )}
          </>
        )
        : <Problem problem={reply.problem} />}
    </div>
    <form
      action="/drift"
      method="get"
      hx-get="/drift"
      hx-target="#drift"
      hx-select="#drift"
      hx-sync="#drift:replace"
      hx-indicator="#verifying"
    >
      <input type="hidden" name="verify" value="true" />
      <h2>Do rules and intent agree?</h2>
      <p>
        Asks the engine and the rules about every frontend, from pods, the node, its loopback and
        outside.
      </p>
      <button type="submit">Verify every frontend</button>{" "}
      <span id="verifying" class="htmx-indicator" role="status">asking…</span>
    </form>
  </>
);

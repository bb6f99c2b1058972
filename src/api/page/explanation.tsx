/**
 * An explanation as people read it: the verdict, the ends, the steps, and where the witnesses differ.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import { formatSocketAddress } from "../../net/address.ts";
import type { ExplanationView } from "../explanation.ts";
import { Badge, Bar, Notice, percent, type Tone } from "./parts.tsx";

const TONES: Readonly<Record<ExplanationView["verdict"], Tone>> = {
  FORWARD: "good",
  REJECT: "bad",
  DROP: "bad",
  PASS: "plain",
};

const MEANINGS: Readonly<Record<ExplanationView["verdict"], string>> = {
  FORWARD: "It is forwarded to a backend.",
  REJECT: "It is refused, and the sender is told.",
  DROP: "It is dropped, and nobody is told.",
  PASS: "No Service rule applies: it goes on as it is.",
};

/** The verdict in one line. */
export const VerdictLine: FC<{ explanation: ExplanationView }> = ({ explanation }) => {
  const { verdict, service, frontend, sourceClass, masquerade } = explanation;
  return (
    <p class="verdict">
      <Badge tone={TONES[verdict]}>{verdict}</Badge> {MEANINGS[verdict]} {service !== null && (
        <>
          Service <ServiceLink name={service} />
          {frontend !== null && `, ${frontend}`}.{" "}
        </>
      )}
      Seen as coming from {SOURCES[sourceClass]}
      {verdict === "FORWARD" && (masquerade
        ? "; the backend sees the node as its client"
        : "; the backend sees the client's address")}.
    </p>
  );
};

const SOURCES: Readonly<Record<ExplanationView["sourceClass"], string>> = {
  pod: "a pod",
  node: "the node itself",
  outside: "outside",
};

const ServiceLink: FC<{ name: string }> = ({ name }) => {
  const [namespace, rest = ""] = name.split("/");
  const path = ["/services", namespace, rest.split(":")[0]].map((part, i) =>
    i === 0 ? part : encodeURIComponent(part)
  ).join("/");
  return <a href={path}>{name}</a>;
};

/** Backends with the chances that a new connection gets them. */
export const Chances: FC<{ explanation: ExplanationView }> = ({ explanation }) =>
  explanation.backends.length === 0 ? null : (
    <table>
      <caption>Where a new connection may go</caption>
      <thead>
        <tr>
          <th scope="col">Backend</th>
          <th scope="col">Probability</th>
          <th scope="col">Source</th>
        </tr>
      </thead>
      <tbody>
        {explanation.backends.map(({ address, port, probability, masquerade }) => (
          <tr>
            <th scope="row">
              <code>{formatSocketAddress(address, port)}</code>
            </th>
            <td data-label="Probability">
              {percent(probability)} <Bar share={probability} tone="good" />
            </td>
            <td data-label="Source">{masquerade ? "masqueraded" : "kept"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );

/** Every step, in order. */
export const Steps: FC<{ explanation: ExplanationView }> = ({ explanation }) => (
  <ol class="steps">
    {explanation.steps.map(({ hook, table, chain, rule, text, action }) => (
      <li>
        <p>
          <strong>{action}</strong>
          {chain !== null && (
            <span class="where">
              {[hook, table, chain].filter((part) => part !== null).join(" · ")}
              {rule !== null && ` · rule ${rule}`}
            </span>
          )}
        </p>
        <code>{text}</code>
      </li>
    ))}
  </ol>
);

/** Whether engine and rules say the same. */
export const Agreement: FC<{ explanation: ExplanationView }> = ({ explanation }) => {
  const { disagreements, witnesses, engine, unknown } = explanation;
  return (
    <>
      {disagreements.length === 0
        ? (
          <Notice tone="good" title={`The engine and the ${witnesses[1]} agree.`}>
            <p>The engine says: {engine.reason}.</p>
          </Notice>
        )
        : (
          <Notice
            tone={disagreements.every(({ known }) => known !== null) ? "warn" : "bad"}
            title={`The engine and the ${witnesses[1]} do not agree.`}
          >
            <ul class="lines">
              {disagreements.map(({ field, engine, rules, known }) => (
                <li>
                  {field}: the engine says {engine}, the {witnesses[1]} {rules}
                  {known !== null && ` (${known})`}
                </li>
              ))}
            </ul>
          </Notice>
        )}
      {unknown.length > 0 && (
        <Notice tone="warn" title="Rules that could not be decided">
          <ul class="lines">
            {unknown.map(({ text, reason }) => (
              <li>
                <code>{text}</code>: {reason}
              </li>
            ))}
          </ul>
        </Notice>
      )}
    </>
  );
};

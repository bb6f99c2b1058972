/**
 * What changed, when and why: the latest entries of the history, and one of them in full.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { FC } from "hono/jsx";
import { formatSocketAddress } from "../../net/address.ts";
import type { ServiceDifferenceShown } from "../differences.ts";
import type { HistoryEntryView, HistoryView } from "../history.ts";
import { type ApiClient, pathTo, withQuery } from "./client.ts";
import type { Show } from "./layout.tsx";
import { Badge, counted, Fact, Problem } from "./parts.tsx";

/** Entries of one page. */
const PAGE_SIZE = 50;
/** Names that a row has. */
const MOST_NAMED = 3;
/** Differences that are shown. */
const MOST_SHOWN = 100;

type Entry = HistoryView["items"][number];

const When: FC<{ time: string }> = ({ time }) => (
  <time datetime={time}>{time.slice(0, 19).replace("T", " ")} UTC</time>
);

const TRIGGERS: Readonly<Record<Entry["trigger"], string>> = {
  start: "start",
  change: "change of the cluster",
  resync: "nothing changed",
};

function duration(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** The first of some names, and how many more there are. */
function named(names: readonly string[], total: number): string {
  const rest = total - Math.min(names.length, MOST_NAMED);
  const first = names.slice(0, MOST_NAMED).join(", ");
  return rest > 0 ? `${first} and ${rest.toLocaleString("en")} more` : first;
}

const Outcome: FC<{ entry: Pick<Entry, "ok" | "attempts"> }> = ({ entry }) => (
  <Badge tone={entry.ok ? "good" : "bad"}>
    {entry.ok ? "on the node" : "failed"}
    {entry.attempts > 1 && ` (${entry.attempts} attempts)`}
  </Badge>
);

const Row: FC<{ entry: Entry }> = ({ entry }) => {
  const causes = entry.causes.map(({ action, kind, object }) =>
    `${kind} ${object}${action === "delete" ? " deleted" : ""}`
  );
  return (
    <tr>
      <th scope="row">
        <a href={pathTo("/history", String(entry.id))}>
          <When time={entry.time} />
        </a>
        <small>{TRIGGERS[entry.trigger]}</small>
      </th>
      <td data-label="Cause">
        {causes.length === 0 ? "–" : named(causes, entry.causesTotal)}
      </td>
      <td data-label="Services">
        {entry.servicesTotal === 0 ? "–" : named(entry.services, entry.servicesTotal)}
      </td>
      <td data-label="Sync">
        <Outcome entry={entry} />
        <small>{duration(entry.durationMs)}, {counted(entry.linesSent, "line")} sent</small>
      </td>
    </tr>
  );
};

const Entries: FC<{ history: HistoryView; cursor?: string }> = ({ history, cursor }) => (
  <>
    <h1>What changed, and why?</h1>
    <div
      id="history"
      hx-get={withQuery("/history", { cursor })}
      hx-select="#history"
      hx-trigger="sync from:body throttle:1s, hello from:body"
    >
      <table>
        <caption>
          {history.items.length === 0 ? "Nothing has happened yet." : "The newest first"}
        </caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Cause</th>
            <th scope="col">Services</th>
            <th scope="col">Sync</th>
          </tr>
        </thead>
        <tbody>{history.items.map((entry) => <Row entry={entry} />)}</tbody>
      </table>
      {history.next !== null && (
        <p>
          <a class="button" rel="next" href={withQuery("/history", { cursor: history.next })}>
            Earlier
          </a>
        </p>
      )}
    </div>
  </>
);

/** A line of what is there now, or no longer. */
interface Line {
  readonly mark: "+" | "-" | "~";
  readonly text: string;
}

function linesOf({ changes, frontends, backends }: ServiceDifferenceShown): Line[] {
  type Changes = ServiceDifferenceShown["changes"];
  const fields = (changes: Changes) =>
    changes.map(({ field, before, after }) => `${field} ${before} → ${after}`).join(", ");
  type Front = ServiceDifferenceShown["frontends"]["added"][number];
  const front = ({ kind, address, port, protocol }: Front) =>
    `${kind} ${address === null ? `port ${port}` : formatSocketAddress(address, port)}/${protocol}`;
  type Back = ServiceDifferenceShown["backends"]["added"][number];
  const back = ({ address, port, pod, node }: Back) =>
    [`backend ${formatSocketAddress(address, port)}`, pod, node && `on ${node}`]
      .filter((part) => part).join(" ");
  const lines = (mark: Line["mark"], texts: readonly string[]): Line[] =>
    texts.map((text) => ({ mark, text }));
  return [
    ...lines("~", changes.length === 0 ? [] : [fields(changes)]),
    ...lines("-", frontends.removed.map(front)),
    ...lines("+", frontends.added.map(front)),
    ...lines("~", frontends.changed.map((one) => `${front(one)}: ${fields(one.changes)}`)),
    ...lines("-", backends.removed.map(back)),
    ...lines("+", backends.added.map(back)),
    ...lines("~", backends.changed.map((one) => `${back(one)}: ${fields(one.changes)}`)),
  ];
}

const MARK_CLASSES: Readonly<Record<Line["mark"], string>> = { "+": "come", "-": "gone", "~": "" };

const Difference: FC<{ difference: ServiceDifferenceShown }> = ({ difference }) => (
  <li>
    <p>
      <strong>{difference.service}</strong> {difference.change}
    </p>
    <pre class="diff" tabindex={0}>
      {linesOf(difference).map(({ mark, text }) => (
        <span class={MARK_CLASSES[mark]}>{`${mark} ${text}\n`}</span>
      ))}
    </pre>
  </li>
);

const OneEntry: FC<{ entry: HistoryEntryView }> = ({ entry }) => (
  <>
    <p class="crumbs">
      <a href="/history">History</a>
    </p>
    <h1>
      <When time={entry.time} />
    </h1>
    <dl class="facts">
      <Fact name="Entry">{entry.id}</Fact>
      <Fact name="Because of">{TRIGGERS[entry.trigger]}</Fact>
      <Fact name="Result" tone={entry.ok ? "good" : "bad"}>
        {entry.ok ? "on the node" : "failed"}
      </Fact>
      <Fact name="Took">{duration(entry.durationMs)}</Fact>
      <Fact name="Sent">{counted(entry.linesSent, "line")}</Fact>
    </dl>
    {entry.error !== null && (
      <Problem
        title="The last attempt failed"
        problem={{ code: "failed", message: entry.error, field: null }}
      />
    )}
    {entry.causes.length > 0 && (
      <>
        <h2>Causes</h2>
        <ul class="lines">
          {entry.causes.map(({ action, kind, object, resourceVersion }) => (
            <li>
              {kind} <strong>{object}</strong> {action === "delete" ? "deleted" : "applied"}
              {resourceVersion !== null && `, version ${resourceVersion}`}
            </li>
          ))}
          {entry.causesTotal > entry.causes.length && (
            <li>and {(entry.causesTotal - entry.causes.length).toLocaleString("en")} more</li>
          )}
        </ul>
      </>
    )}
    <h2>What changed</h2>
    {entry.differences.length === 0 ? <p>No Service.</p> : (
      <ul class="differences">
        {entry.differences.slice(0, MOST_SHOWN).map((one) => <Difference difference={one} />)}
        {entry.servicesTotal > MOST_SHOWN && (
          <li>and {(entry.servicesTotal - MOST_SHOWN).toLocaleString("en")} more Services</li>
        )}
      </ul>
    )}
    {entry.sent.length > 0 && <h2>What was sent to the node</h2>}
    {entry.sent.map(({ where, lines, text, cut }) => (
      <details class="more">
        <summary>{where}: {counted(lines, "line")}</summary>
        <pre tabindex={0}>{text}</pre>
        {cut && <p class="quiet">The rest is not kept.</p>}
      </details>
    ))}
  </>
);

/** Adds the routes. */
export function addHistory(app: OpenAPIHono, api: ApiClient, show: Show): void {
  const section = "/history";
  app.get("/history", async (context) => {
    const { cursor } = context.req.query();
    const path = withQuery("/api/v1/history", { cursor, limit: PAGE_SIZE });
    const reply = await api.get<HistoryView>(path);
    const children = reply.ok
      ? <Entries history={reply.body} cursor={cursor} />
      : <Problem title="The history cannot be shown" problem={reply.problem} />;
    return show(context, { title: "History", section, children });
  });
  app.get("/history/:id", async (context) => {
    const reply = await api.get<HistoryEntryView>(
      pathTo("/api/v1/history", context.req.param("id")),
    );
    if (reply.ok) {
      const children = <OneEntry entry={reply.body} />;
      return show(context, { title: `History ${reply.body.id}`, section, children });
    }
    const children = <Problem title="There is no such entry" problem={reply.problem} />;
    return show(context, { title: "Not found", section, children }, 404);
  });
}

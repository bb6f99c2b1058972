/**
 * The frame of every page: head, navigation, landmarks.
 *
 * @module
 */

import type { Context } from "hono";
import type { Child, FC } from "hono/jsx";
import { html } from "hono/html";

/** A page and where it stands. */
export interface PageProps {
  readonly title: string;
  /** The path of the navigation's entry that this page belongs to. */
  readonly section: string;
  /** Whether there are sessions to end. */
  readonly session?: boolean;
  /** Whether events refresh it. */
  readonly live?: boolean;
  readonly children?: Child;
}

/** Shows a page, or why it cannot be shown. */
export type Show = (context: Context, props: PageProps, status?: 200 | 404) => Promise<Response>;

const SECTIONS: readonly (readonly [path: string, name: string])[] = [
  ["/", "Services"],
  ["/explain", "Explain"],
  ["/drift", "Drift"],
  ["/history", "History"],
  ["/docs", "API"],
];

/** htmx with the extension that is served and no other; what is open stays open in a fresh page. */
const HTMX_CONFIG = JSON.stringify({
  morphIgnore: ["data-htmx-powered", "open"],
  extensions: "sse",
  includeIndicatorCSS: false,
  history: "reload",
  defaultSwap: "outerMorph",
});

const Logo: FC = () => (
  <svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
    <path d="M4 22h24M6 22c9 0 9-12 20-12" />
    <circle cx="6" cy="22" r="3" />
    <circle cx="26" cy="10" r="3" />
    <circle cx="26" cy="22" r="3" />
  </svg>
);

const Live: FC = () => (
  <p
    id="live"
    class="live"
    role="status"
    hx-sse:connect="/api/v1/events"
    data-state="waiting"
  >
    connecting
  </p>
);

const Frame: FC<PageProps> = ({ title, section, session, live = true, children }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta name="htmx-config" content={HTMX_CONFIG} />
      <title>{`${title} · Switchyard`}</title>
      <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
      <link rel="stylesheet" href="/assets/style.css" />
      {live && <script src="/assets/page.js" defer></script>}
    </head>
    <body>
      <a class="skip" href="#main">Skip to content</a>
      <header class="top">
        <a class="brand" href="/">
          <Logo />
          <span>Switchyard</span>
        </a>
        <nav aria-label="Pages">
          <ul>
            {SECTIONS.map(([path, name]) => (
              <li>
                <a href={path} aria-current={path === section ? "page" : undefined}>{name}</a>
              </li>
            ))}
          </ul>
        </nav>
        {live && <Live />}
        {session && (
          <form method="post" action="/logout">
            <button class="quiet" type="submit">Sign out</button>
          </form>
        )}
      </header>
      <main id="main" tabindex={-1}>{children}</main>
      <footer>
        <p>
          Everything here comes from the <a href="/docs">API</a>{" "}
          of this node; asking changes nothing.
        </p>
      </footer>
    </body>
  </html>
);

/** A whole document. */
export function page(props: PageProps) {
  return html`<!doctype html>${<Frame {...props} />}`;
}

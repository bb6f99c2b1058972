// @ts-check
/**
 * Says in the page's head whether events come.
 *
 * @module
 */

/** @type {Readonly<Record<string, readonly [state: string, text: string]>>} */
const STATES = {
  "htmx:sse:after:connection": ["live", "live"],
  "htmx:sse:error": ["away", "connection lost"],
  "htmx:sse:close": ["away", "connection lost"],
  "htmx:sse:before:message": ["live", "live"],
};

for (const [event, [state, text]] of Object.entries(STATES)) {
  document.addEventListener(event, () => {
    const live = document.getElementById("live");
    if (live === null || live.dataset.state === state) return;
    live.dataset.state = state;
    live.textContent = text;
  });
}

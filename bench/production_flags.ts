/**
 * How the proxy is run on nodes.
 *
 * @module
 */

/** What the task `run` tells V8. */
export function productionFlags(): string[] {
  const file = new URL("../deno.json", import.meta.url);
  const { tasks } = JSON.parse(Deno.readTextFileSync(file));
  return tasks.run.command.match(/--v8-flags=\S+/) ?? [];
}

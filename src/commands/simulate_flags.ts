/**
 * The flags of `simulate`, and its help.
 *
 * @module
 */

/** Every flag, as node:util takes it, with what the help says of it. */
export const SIMULATE_FLAGS = {
  scheduler: {
    type: "string",
    multiple: true,
    placeholder: "NAME",
    help: ["instead of the file's; may be repeated"],
  },
  service: {
    type: "string",
    placeholder: "NAMESPACE/NAME",
    help: [
      "instead of the file's backends: those of a Service's first port, which",
      "--manifests or --server know",
    ],
  },
  nodes: { type: "string", placeholder: "N", help: ["instead of the file's"] },
  seed: {
    type: "string",
    placeholder: "N",
    help: ["instead of the file's; the same one gives the same outcome"],
  },
  output: {
    type: "string",
    default: "text",
    placeholder: "text|json|svg",
    help: ["figures for people (the default) or programs, or a chart"],
  },
  manifests: {
    type: "string",
    placeholder: "FILE|DIR|-",
    help: ["Kubernetes manifests, which know Services"],
  },
  "hostname-override": {
    type: "string",
    placeholder: "NODE",
    help: ["name of the node that the manifests' Services are seen from; unset: none"],
  },
  server: {
    type: "string",
    placeholder: "URL",
    help: [
      "asks the API of a running agent, which knows its Services, too:",
      "http://HOST:PORT, https://HOST:PORT or unix:/PATH",
    ],
  },
  "api-token-file": {
    type: "string",
    placeholder: "FILE",
    help: ["bearer token that the API asks for"],
  },
} as const;

/** Where the help of a flag begins. */
const HELP_COLUMN = 28;

function flagHelp(): string[] {
  return Object.entries(SIMULATE_FLAGS).flatMap(
    ([name, { placeholder, help: [first, ...rest] }]) => {
      const left = `  --${name} ${placeholder}`;
      const indent = " ".repeat(HELP_COLUMN);
      return left.length < HELP_COLUMN
        ? [left.padEnd(HELP_COLUMN) + first, ...rest.map((line) => indent + line)]
        : [left, ...[first, ...rest].map((line) => indent + line)];
    },
  );
}

/** What `simulate --help` prints, line by line. */
export const SIMULATE_HELP: readonly string[] = [
  "Usage: simulate [FILE|-] [flags]",
  "",
  "Lets schedulers choose backends for the connections of a workload, and says how evenly the load is",
  "spread and what events (backends that go, come, are drained) do. The schedulers are the engine's",
  "own. FILE is the body of POST /api/v1/simulate, as JSON or YAML; without it the defaults are taken:",
  "500 connections a second to 10 backends for a minute.",
  "",
  "Flags:",
  ...flagHelp(),
];

/**
 * The process inside the virtual machine: runs the tests of the modules that it is given one after
 * another and writes what became of them to a file.
 *
 * A module is an ordinary one that calls `Deno.test` (without steps), or exports `tests`, functions
 * by name, whose results are reported too.
 *
 * @module
 */

/** Tests that return something. */
export type GuestTests = Readonly<Record<string, () => unknown>>;

/** What became of a test. */
export interface GuestResult {
  readonly name: string;
  /** The stack of what it threw, or null. */
  readonly error: string | null;
  /** Left out, as it needs something that the machine has not; its name says what. */
  readonly ignored: boolean;
  /** What it returned, as JSON carries it. */
  readonly value?: unknown;
  readonly milliseconds: number;
}

/** What the process writes. */
export interface GuestReport {
  /** Release of the machine's kernel. */
  readonly kernel: string;
  readonly results: readonly GuestResult[];
}

interface Registered {
  readonly name: string;
  readonly ignore: boolean;
  readonly fn: () => unknown;
}

/** The tests of a module. */
async function load(module: string): Promise<Registered[]> {
  const registered: Registered[] = [];
  const register = (first: string | Deno.TestDefinition, fn?: () => unknown) => {
    if (typeof first !== "string") {
      const { name, ignore = false, fn } = first;
      registered.push({ name, ignore, fn: fn as () => unknown });
    } else if (fn !== undefined) registered.push({ name: first, ignore: false, fn });
  };
  Object.assign(Deno, { test: register });
  const { tests = {} } = await import(module) as { readonly tests?: GuestTests };
  for (const [name, fn] of Object.entries(tests)) registered.push({ name, ignore: false, fn });
  if (registered.length === 0) throw new Error(`${module} has no tests`);
  return registered;
}

async function runTest({ name, ignore, fn }: Registered): Promise<GuestResult> {
  if (ignore) return { name, error: null, ignored: true, milliseconds: 0 };
  const start = performance.now();
  let error: string | null = null;
  let value: unknown;
  try {
    value = await fn();
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
  }
  const milliseconds = Math.round(performance.now() - start);
  return { name, error, ignored: false, value, milliseconds };
}

if (import.meta.main) {
  const [target, ...modules] = Deno.args;
  const results: GuestResult[] = [];
  for (const module of modules) {
    for (const test of await load(module)) results.push(await runTest(test));
  }
  const report: GuestReport = { kernel: Deno.osRelease(), results };
  await Deno.writeTextFile(target, JSON.stringify(report));
  // Sockets that a failed test left open must not keep the machine running.
  Deno.exit(0);
}

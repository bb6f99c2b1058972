import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const PROCESS = fileURLToPath(new URL("tracing_process.ts", import.meta.url));

async function run(env: Record<string, string>): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-env", "--allow-read", PROCESS],
    env: { NO_COLOR: "1", ...env },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

interface Span {
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code?: number; readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: unknown }[];
}

interface Traces {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string };
      readonly spans: readonly Span[];
    }[];
  }[];
}

Deno.test("syncs are spans at an OpenTelemetry collector, when that is asked for", async () => {
  const traces: Traces[] = [];
  await using collector = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const body = await request.json();
      if (new URL(request.url).pathname === "/v1/traces") traces.push(body);
      return new Response("{}", { headers: { "content-type": "application/json" } });
    },
  );
  const said = await run({
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
  });
  assert.equal(said, "traces\n");
  const scopes = traces.flatMap(({ resourceSpans }) => resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans);
  const spans = scopes.filter(({ scope }) => scope.name === "switchyard")
    .flatMap(({ spans }) => spans);
  assert.deepEqual(spans.map(({ name }) => name), ["sync", "sync"]);
  const [good, bad] = spans;
  const nanoseconds = BigInt(good.endTimeUnixNano) - BigInt(good.startTimeUnixNano);
  assert.equal(Math.round(Number(nanoseconds) / 1e6), 250);
  const attributes = Object.fromEntries(good.attributes.map(({ key, value }) => [key, value]));
  assert.deepEqual(attributes["switchyard.mode"], { stringValue: "iptables" });
  assert.equal(good.status.code ?? 0, 0);
  assert.deepEqual([bad.status.code, bad.status.message], [2, "refused"]);
});

Deno.test("else there are none", async () => {
  assert.equal(await run({}), "no traces\n");
});

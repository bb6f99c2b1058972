/** Whatever happens, and however the API server misbehaves: in the end the source has told the truth. */

import fc from "fast-check";
import { ApiDouble, type Fault, type FaultRule } from "./api_double.ts";
import { rawService, rawSlice, RunningSource } from "./helpers.ts";

const bytes = fc.oneof(fc.nat(40), fc.nat(3000));
const fault = fc.oneof(
  fc.record({
    kind: fc.constant("status" as const),
    status: fc.constantFrom(410, 429, 500, 503, 504),
    retryAfter: fc.constantFrom(undefined, 0, 1, 2),
  }),
  fc.constant<Fault>({ kind: "foreign", status: 502, body: "<html>bad gateway</html>" }),
  fc.constant<Fault>({ kind: "hang" }),
  fc.constant<Fault>({ kind: "slow", ms: 5 }),
  fc.record({ kind: fc.constantFrom("drop" as const, "silent" as const, "end" as const), bytes }),
  fc.record({ kind: fc.constant("split" as const), bytes: fc.integer({ min: 1, max: 7 }) }),
  fc.constantFrom(
    '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}',
    '{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}',
    '{"type":"ADDED","object":{"metadata":{}}}',
    '{"type":"MODIFIED","obj',
    "not JSON",
    "",
  ).map((text): Fault => ({ kind: "line", text })),
);

const rule: fc.Arbitrary<FaultRule> = fc.record({
  on: fc.constantFrom("list" as const, "page" as const, "watch" as const, "watch" as const),
  of: fc.constantFrom(undefined, "Service", "EndpointSlice"),
  fault,
});

const HIDDEN = { "service.kubernetes.io/service-proxy-name": "" };

type Step = (api: ApiDouble) => void | Promise<void>;
const index = fc.nat(9);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: index.map((i): Step => (api) => api.put(rawService(`s${i}`))) },
  {
    weight: 4,
    arbitrary: index.map((i): Step => (api) => api.put(rawSlice(`e${i}`, ["10.0.0.1"]))),
  },
  {
    weight: 4,
    arbitrary: index.map((i): Step => (api) => void api.remove("Service", `default/s${i}`)),
  },
  {
    weight: 2,
    arbitrary: index.map((i): Step => (api) => void api.remove("EndpointSlice", `default/e${i}`)),
  },
  {
    // Leaves, or never enters, what the source may see.
    weight: 2,
    arbitrary: index.map((i): Step => (api) => {
      const name = `s${i}`;
      api.put(rawService(name, { metadata: { name, namespace: "default", labels: HIDDEN } }));
    }),
  },
  { weight: 4, arbitrary: rule.map((one): Step => (api) => void api.faults.push(one)) },
  { weight: 1, arbitrary: fc.constant<Step>((api) => api.compact()) },
  { weight: 1, arbitrary: fc.constant<Step>((api) => api.breakWatches()) },
  { weight: 1, arbitrary: fc.constant<Step>((api) => api.endWatches()) },
  {
    weight: 1,
    arbitrary: fc.constant<Step>(async (api) => {
      await api.stop();
      api.start();
    }),
  },
  {
    weight: 3,
    arbitrary: fc.nat(15).map((ms): Step => () =>
      new Promise((resolve) => setTimeout(resolve, ms))
    ),
  },
);

Deno.test("After any changes and any faults, what was told is what the server has", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(rule, { maxLength: 6 }),
      fc.boolean(),
      fc.array(step, { minLength: 5, maxLength: 60 }),
      async (faults, unpaged, steps) => {
        await using api = new ApiDouble({ unpaged, bookmarkMs: 20, watchMs: 100 });
        api.put(rawService("s0"), rawService("s1"), rawService("s2"), rawService("s3"));
        api.put(rawSlice("e0", ["10.0.0.1"]), rawSlice("e1", ["10.0.0.2"]));
        api.faults.push(...faults);
        await using running = await RunningSource.on(api);
        for (const one of steps) await one(api);
        api.faults.length = 0;
        await running.converged(api);
      },
    ),
    { numRuns: 40, endOnFailure: true },
  );
});

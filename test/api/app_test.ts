import assert from "node:assert/strict";
import { healthApp, metricsApp, queryApp } from "../../src/api/app.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { ListenError, serve } from "../../src/api/server.ts";
import { FixedState } from "./fixtures.ts";
import { assertDescribed } from "./openapi_schema.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- tests look into answers of any shape
  readonly json: any;
}

type Ask = (path: string, init?: RequestInit) => Promise<Answer>;

/** Real HTTP on loopback with a state of its own. */
async function withApi(
  test: (ask: Ask, state: FixedState, port: number) => Promise<void>,
  options: { token?: string; bodyTimeoutMs?: number } = {},
): Promise<void> {
  const state = new FixedState();
  const metrics = new Metrics(["IPv4", "IPv6"], "1.2.3");
  const { token = null, ...rest } = options;
  const server = serve(
    LOOPBACK,
    queryApp(state, metrics, { version: "1.2.3", token, ...rest }).fetch,
  );
  const ask: Ask = async (path, init) => {
    const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : null,
    };
  };
  try {
    await test(ask, state, server.address.port);
  } finally {
    await server.stop();
  }
}

const post = (body: BodyInit, type = "application/json"): RequestInit => ({
  method: "POST",
  body,
  headers: { "content-type": type },
});
const lookup = (value: unknown) => post(JSON.stringify(value));
const packet = {
  source: "10.244.1.5",
  sourcePort: 40_000,
  dest: "10.0.1.175",
  port: 80,
  protocol: "TCP",
};

Deno.test("services are listed in order, with the shape that is promised", () =>
  withApi(async (ask) => {
    const { status, json } = await ask("/api/v1/services");
    assert.equal(status, 200);
    // deno-lint-ignore no-explicit-any -- see Answer
    const names = json.items.map((item: any) => `${item.namespace}/${item.name}`);
    assert.deepEqual(names, [
      "default/elsewhere",
      "default/hostnames",
      "default/nginx",
      "kube-system/dns",
    ]);
    assert.deepEqual(json.items[0].frontends, []);
    assert.equal(json.items[0].externalName, "example.org");
    assert.deepEqual(json.items[2].frontends, []);
    assert.equal(json.items[3].frontends[0].affinity, "ClientIP");
    assert.equal(json.items[3].frontends[0].portName, "dns");
  }));

Deno.test("one service: a node port once per address, backends by policy, live counters", () =>
  withApi(async (ask) => {
    const { status, json } = await ask("/api/v1/services/default/hostnames");
    assert.equal(status, 200);
    const dialled = json.frontends.map((frontend: { address: string; port: number }) =>
      `${frontend.address}:${frontend.port}`
    );
    assert.deepEqual(dialled, [
      "10.0.1.175:80",
      "192.0.2.1:30007",
      "192.0.2.2:30007",
      "203.0.113.5:80",
    ]);
    const [clusterIP, nodePort, , loadBalancer] = json.frontends;
    const addresses = (frontend: { backends: { address: string }[] }) =>
      frontend.backends.map((backend) => backend.address);
    assert.deepEqual(addresses(clusterIP), ["10.244.1.7"]);
    assert.deepEqual(addresses(nodePort), ["10.244.1.7", "10.244.3.6"]);
    assert.deepEqual(addresses(loadBalancer), []);
    const { connections, active, packets, bytes, pod, node, local } = nodePort.backends[1];
    assert.deepEqual({ connections, active, packets, bytes, pod, node, local }, {
      connections: 7,
      active: 2,
      packets: 70,
      bytes: 7000,
      pod: "default/hostnames-1",
      node: "node-a",
      local: true,
    });
    assert.equal(nodePort.backends[0].connections, 0);
    assert.equal(json.externalTrafficPolicy, "Local");
    assert.equal(json.healthCheckNodePort, 30123);
  }));

Deno.test("a lookup reaches the engine canonical and in order", () =>
  withApi(async (ask, state) => {
    const packets = [
      { ...packet, name: "first" },
      { source: "2001:DB8:0::1", dest: "fd00::A", port: 53, protocol: "UDP" },
    ];
    const { status, json } = await ask("/api/v1/lookup", lookup({ packets }));
    assert.equal(status, 200);
    assert.equal(json.results[0].name, "first");
    assert.equal(json.results[0].backend.address, "10.0.1.175");
    assert.equal(json.results[1].backend.address, "fd00::a");
    assert.deepEqual(state.engine.asked, [
      packet,
      { source: "2001:db8::1", dest: "fd00::a", port: 53, protocol: "UDP" },
    ]);
    assert.deepEqual((await ask("/api/v1/lookup", lookup({ packets: [] }))).json, { results: [] });
  }));

const BAD_LOOKUPS: [name: string, body: unknown, field: string | null, message: RegExp][] = [
  ["no packets", {}, "packets", /expected a list of packets/],
  ["not an object", [], null, /expected an object: /],
  ["null", null, null, /expected an object: /],
  ["packets of another type", { packets: "x" }, "packets", /expected a list of packets/],
  ["a packet that is a number", { packets: [1] }, "packets[0]", /expected an object/],
  ["an unknown field", { packets: [], more: 1 }, "more", /expected no such field/],
  [
    "a mistyped field",
    { packets: [{ ...packet, sourceport: 1 }] },
    "packets[0].sourceport",
    /expected no such field/,
  ],
  ["port 0", { packets: [packet, { ...packet, port: 0 }] }, "packets[1].port", /from 1 to 65535/],
  ["port 65536", { packets: [{ ...packet, port: 65536 }] }, "packets[0].port", /from 1 to 65535/],
  ["port 1.5", { packets: [{ ...packet, port: 1.5 }] }, "packets[0].port", /from 1 to 65535/],
  ["a port in quotes", { packets: [{ ...packet, port: "80" }] }, "packets[0].port", /whole number/],
  ["no port", { packets: [{ ...packet, port: undefined }] }, "packets[0].port", /whole number/],
  [
    "source port −1",
    { packets: [{ ...packet, sourcePort: -1 }] },
    "packets[0].sourcePort",
    /from 1 to 65535/,
  ],
  [
    "a name",
    { packets: [{ ...packet, dest: "web" }] },
    "packets[0].dest",
    /expected an IP address/,
  ],
  ["300.1.1.1", { packets: [{ ...packet, source: "300.1.1.1" }] }, "packets[0].source", /IP addr/],
  ["a zone", { packets: [{ ...packet, source: "fe80::1%eth0" }] }, "packets[0].source", /IP addr/],
  ["two families", { packets: [{ ...packet, dest: "fd00::1" }] }, "packets[0].dest", /IP family/],
  [
    "ICMP",
    { packets: [{ ...packet, protocol: "ICMP" }] },
    "packets[0].protocol",
    /TCP, UDP or SCT/,
  ],
];

for (const [name, body, field, message] of BAD_LOOKUPS) {
  Deno.test(`a lookup of wrong shape: ${name}`, () =>
    withApi(async (ask, state) => {
      const { status, json } = await ask("/api/v1/lookup", lookup(body));
      assert.equal(status, 400);
      assert.equal(json.error.code, "invalid_request");
      assert.equal(json.error.field, field);
      assert.match(json.error.message, message);
      assert.deepEqual(state.engine.asked, []);
      assert.equal((await ask("/api/v1/lookup", lookup({ packets: [packet] }))).status, 200);
    }));
}

const BAD_BODIES: [name: string, init: RequestInit, status: number, code: string][] = [
  ["that is not JSON", post("{packets"), 400, "invalid_json"],
  ["that is empty", post(""), 400, "invalid_json"],
  ["that is not UTF-8", post(new Uint8Array([0x22, 0xff, 0x22])), 400, "invalid_json"],
  ["nested without end", post("[".repeat(100_000)), 400, "invalid_json"],
  ["of another type", post("{}", "text/plain"), 415, "unsupported_media_type"],
  [
    "without a type",
    { method: "POST", body: new Uint8Array([123, 125]) },
    415,
    "unsupported_media_type",
  ],
  [
    "that is compressed",
    {
      ...post("{}"),
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    },
    415,
    "unsupported_media_type",
  ],
  ["that is too long", post(" ".repeat((1 << 20) + 1)), 413, "too_large"],
  [
    "of too many packets",
    lookup({
      packets: Array.from({ length: 10_001 }, () => ({
        source: "10.0.0.1",
        dest: "10.0.0.2",
        port: 1,
        protocol: "TCP",
      })),
    }),
    413,
    "batch_too_long",
  ],
];

for (const [name, init, status, code] of BAD_BODIES) {
  Deno.test(`a body ${name}`, () =>
    withApi(async (ask) => {
      const answer = await ask("/api/v1/lookup", init);
      assert.equal(answer.status, status);
      assert.equal(answer.json.error.code, code);
      assert.ok(answer.json.error.message.length > 0 && answer.json.error.message.length < 400);
      assert.deepEqual(Object.keys(answer.json.error), ["code", "message", "field"]);
      assert.equal((await ask("/api/v1/lookup", lookup({ packets: [packet] }))).status, 200);
    }));
}

Deno.test("a batch of 10,000 packets is answered in order", () =>
  withApi(async (ask) => {
    const packets = Array.from({ length: 10_000 }, (_, i) => ({ ...packet, port: i + 1 }));
    const { status, json } = await ask("/api/v1/lookup", lookup({ packets }));
    assert.equal(status, 200);
    const ports = json.results.map((result: { backend: { port: number } }) => result.backend.port);
    assert.deepEqual(ports, packets.map(({ port }) => port));
  }));

Deno.test("a body without end is given up at the limit, not kept", () =>
  withApi(async (ask) => {
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        sent += 1 << 16;
        if (sent > 1 << 28) controller.close();
        else controller.enqueue(new Uint8Array(1 << 16).fill(0x20));
      },
    });
    const answer = await ask("/api/v1/lookup", post(body)).catch((error) => error);
    // The sender may see the answer, or the closed connection first.
    if (!(answer instanceof Error)) assert.equal(answer.status, 413);
    assert.ok(sent < 1 << 26, `${sent} bytes were taken`);
  }));

Deno.test("a body that does not come is given up", () =>
  withApi(async (_, __, port) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const head = "POST /api/v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
      "Content-Length: 100\r\n\r\n{";
    await connection.write(new TextEncoder().encode(head));
    const buffer = new Uint8Array(4096);
    const length = await connection.read(buffer);
    connection.close();
    assert.match(new TextDecoder().decode(buffer.subarray(0, length ?? 0)), /^HTTP\/1.1 408 /);
  }, { bodyTimeoutMs: 100 }));

Deno.test("what is not there is 404, and other methods are 405", () =>
  withApi(async (ask) => {
    for (const path of ["/api/v1", "/api/v1/service", "/healthz/", "/api/v1/services/a/b/c"]) {
      const { status, json } = await ask(path);
      assert.equal(status, 404, path);
      assert.equal(json.error.code, "not_found");
    }
    const missing = await ask("/api/v1/services/default/nothing");
    assert.equal(missing.status, 404);
    assert.equal(missing.json.error.message, "there is no Service default/nothing");
    for (
      const [path, method] of [
        ["/api/v1/lookup", "GET"],
        ["/api/v1/services", "POST"],
        ["/api/v1/services/default/hostnames", "DELETE"],
        ["/healthz", "PUT"],
        ["/openapi.json", "POST"],
      ]
    ) {
      const { status, json, headers } = await ask(path, { method });
      assert.equal(status, 405, `${method} ${path}`);
      assert.equal(json.error.code, "method_not_allowed");
      assert.ok(headers.get("allow"));
    }
  }));

Deno.test("an engine that fails is 500 without a stack", () =>
  withApi(async (ask, state) => {
    state.engine.failure = new Error("secret detail");
    const { status, text } = await ask("/api/v1/lookup", lookup({ packets: [packet] }));
    assert.equal(status, 500);
    assert.doesNotMatch(text, /secret|at /);
  }));

Deno.test("health is kube-proxy's", () =>
  withApi(async (ask, state) => {
    const fine = await ask("/healthz");
    assert.equal(fine.status, 200);
    assert.equal(fine.headers.get("x-content-type-options"), "nosniff");
    assert.equal(fine.json.nodeEligible, true);
    assert.equal(fine.json.currentTime, "1970-01-01T00:00:02.000Z");
    state.report = { ...state.report, nodeEligible: false };
    assert.equal((await ask("/healthz")).status, 503);
    const live = await ask("/livez");
    assert.equal(live.status, 200);
    assert.equal("nodeEligible" in live.json, false);
    state.report = { ...state.report, nodeEligible: true, healthy: false };
    assert.equal((await ask("/healthz")).status, 503);
    assert.equal((await ask("/livez")).status, 503);
    const { text } = await ask("/metrics");
    assert.match(text, /^kubeproxy_proxy_healthz_total\{code="200"\} 1$/m);
    assert.match(text, /^kubeproxy_proxy_healthz_total\{code="503"\} 2$/m);
    assert.match(text, /^kubeproxy_proxy_livez_total\{code="503"\} 1$/m);
  }));

Deno.test("the mode is plain text without a line end", () =>
  withApi(async (ask) => {
    const { status, text, headers } = await ask("/proxyMode");
    assert.equal(status, 200);
    assert.equal(text, "userspace");
    assert.equal(headers.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
  }));

Deno.test("a token is asked for in every request", () =>
  withApi(async (ask) => {
    const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    for (const path of ["/api/v1/services", "/metrics", "/openapi.json", "/nothing"]) {
      const { status, json, headers } = await ask(path);
      assert.equal(status, 401, path);
      assert.equal(json.error.code, "unauthorized");
      assert.equal(headers.get("www-authenticate"), "Bearer");
      assert.equal((await ask(path, bearer("0123456789abcdeX"))).status, 401);
      assert.equal((await ask(path, bearer("0123456789abcdef0"))).status, 401);
      assert.notEqual((await ask(path, bearer("0123456789abcdef"))).status, 401);
    }
  }, { token: "0123456789abcdef" }));

Deno.test("/openapi.json describes every answer", () =>
  withApi(async (ask, state) => {
    const document = (await ask("/openapi.json")).json;
    assert.equal(document.openapi, "3.1.0");
    const expectDescribed = async (template: string, path: string, init?: RequestInit) => {
      const { status, headers, json, text } = await ask(path, init);
      const type = headers.get("content-type") ?? "";
      const method = (init?.method ?? "GET").toLowerCase();
      assertDescribed(document, template, method, status, type, json ?? text);
      return status;
    };
    const same = (path: string, init?: RequestInit) => expectDescribed(path, path, init);
    const one = "/api/v1/services/{namespace}/{name}";
    assert.equal(await same("/api/v1/services"), 200);
    assert.equal(await expectDescribed(one, "/api/v1/services/default/hostnames"), 200);
    assert.equal(await expectDescribed(one, "/api/v1/services/default/elsewhere"), 200);
    assert.equal(await expectDescribed(one, "/api/v1/services/default/none"), 404);
    assert.equal(await same("/api/v1/lookup", lookup({ packets: [packet] })), 200);
    for (const [, init, status] of BAD_BODIES) {
      assert.equal(await same("/api/v1/lookup", init), status);
    }
    assert.equal(await same("/healthz"), 200);
    assert.equal(await same("/livez"), 200);
    assert.equal(await same("/proxyMode"), 200);
    assert.equal(await same("/metrics"), 200);
    state.report = { ...state.report, healthy: false, nodeEligible: false };
    assert.equal(await same("/healthz"), 503);
    assert.equal(await same("/livez"), 503);
  }));

Deno.test("the health and metrics applications answer their own paths only", async () => {
  const state = new FixedState();
  const metrics = new Metrics(["IPv4"], "1");
  const status = async (app: typeof healthApp, path: string) =>
    (await app(state, metrics).request(path)).status;
  assert.equal(await status(healthApp, "/healthz"), 200);
  assert.equal(await status(healthApp, "/livez"), 200);
  assert.equal(await status(healthApp, "/api/v1/services"), 404);
  assert.equal(await status(metricsApp, "/metrics"), 200);
  assert.equal(await status(metricsApp, "/proxyMode"), 200);
  assert.equal(await status(metricsApp, "/healthz"), 200);
  assert.equal(await status(metricsApp, "/api/v1/services"), 404);
});

Deno.test("a port in use is one line", async () => {
  const first = serve(LOOPBACK, () => new Response("first"));
  try {
    assert.throws(() => serve(first.address, () => new Response("second")), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(
        error.message,
        `cannot listen on 127.0.0.1:${first.address.port}: the port is in use`,
      );
      return true;
    });
  } finally {
    await first.stop();
  }
});

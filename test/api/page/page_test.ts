/** The pages as they are sent. */

import assert from "node:assert/strict";
import { healthOf, type Service } from "../../../src/api/page/service_health.ts";
import { withQueryApi } from "../http.ts";
import { plain, RealState, slice, web } from "../real_state.ts";
import { external, FixedState, headless, hostnames, plan } from "../fixtures.ts";

async function state(): Promise<RealState> {
  const state = new RealState("userspace");
  await state.apply([...web(), plain("empty", "10.0.1.200")]);
  return state;
}

const PATHS = ["/", "/services/default/web", "/explain", "/drift", "/history", "/docs"];

Deno.test("every page is HTML under a policy that allows nothing inline and nothing foreign", async () => {
  await withQueryApi(await state(), async (ask) => {
    for (const path of PATHS) {
      const { status, headers, text } = await ask(path);
      assert.equal(status, 200, path);
      assert.match(headers.get("content-type")!, /^text\/html/);
      const policy = headers.get("content-security-policy")!;
      assert.match(policy, /default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe|\*|http/);
      assert.match(text, /^<!doctype html>/);
      assert.doesNotMatch(text, /(?:src|href|action)="(?:https?:)?\/\//);
      assert.doesNotMatch(text, / on[a-z]+="| style="|<script>|<style/);
      for (const [, asset] of text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) {
        assert.equal((await ask(asset)).status, 200, asset);
      }
    }
  });
});

Deno.test("Services have their health in a word, and can be found", async () => {
  await withQueryApi(await state(), async (ask) => {
    const { text } = await ask("/");
    assert.match(text, /3 endpoints ready/);
    assert.match(text, /no endpoints/);
    const found = (await ask("/?search=EMP")).text;
    assert.match(found, /default\/<\/span>empty/);
    assert.doesNotMatch(found, /default\/<\/span>web/);
    const none = await ask("/?search=x&cursor=y");
    assert.match(none.text, /No Service fits/);
    assert.equal((await ask("/services/default/none")).status, 404);
  });
});

Deno.test("where there are no Services, that is said, and no empty table shown", async () => {
  await withQueryApi(new RealState("userspace"), async (ask) => {
    const { text } = await ask("/");
    assert.match(text, /There are no Services\./);
    assert.doesNotMatch(text, /<table|fits/);
  });
});

Deno.test("a pod is one endpoint, whatever its ports and families", () => {
  const frontend = (protocol: "TCP" | "UDP", ...backends: [address: string, port: number][]) => ({
    protocol,
    backends: backends.map(([address, port], i) => ({
      ...{ address, port, weight: 1, ready: i > 0, serving: true, terminating: false },
      ...{ local: false, pod: `default/web-${i}` },
    })),
  });
  const frontends = [
    frontend("TCP", ["10.180.0.1", 80], ["10.180.0.2", 80]),
    frontend("UDP", ["10.180.0.1", 53], ["10.180.0.2", 53]),
    frontend("TCP", ["fd00::1", 80], ["fd00::2", 80]),
  ];
  const { endpoints, ready, text } = healthOf({ headless: false, frontends } as unknown as Service);
  assert.deepEqual([endpoints, ready, text], [2, 1, "1 of 2 ready"]);
});

Deno.test("the node's answer has all that is asked of a status", async () => {
  await withQueryApi(await state(), async (ask) => {
    const { json } = await ask("/api/v1/node");
    assert.equal(json.mode, "userspace");
    assert.equal(json.services, 2);
    assert.equal(json.healthy, true);
    assert.deepEqual(Object.keys(json.sources.IPv4), ["pod", "node", "outside"]);
    assert.equal(json.problemsTotal, 0);
  });
});

Deno.test("the history has an entry for each change, and each entry its page", async () => {
  const proxy = await state();
  await proxy.apply([slice("web", ["10.180.0.1", "10.180.0.9"])]);
  await withQueryApi(proxy, async (ask) => {
    const list = (await ask("/history")).text;
    const [, latest] = /href="\/history\/(\d+)"/.exec(list)!;
    assert.match(list, /EndpointSlice default\/web/);
    const { status, text } = await ask(`/history/${latest}`);
    assert.equal(status, 200);
    assert.match(text, /- backend 10\.180\.0\.2:8080/);
    assert.match(text, /\+ backend 10\.180\.0\.9:8080/);
    assert.equal((await ask("/history/99")).status, 404);
    assert.equal((await ask("/history/x")).status, 404);
    assert.match((await ask("/history?cursor=x")).text, /The history cannot be shown/);
  });
});

const HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>';

Deno.test("names and questions cannot become part of a page", async () => {
  const state = new FixedState();
  const [port] = hostnames.ports;
  const backends = port.cluster.map((backend) => ({ ...backend, pod: HOSTILE, node: HOSTILE }));
  const services = [
    { ...hostnames, name: HOSTILE, ports: [{ ...port, service: HOSTILE, cluster: backends }] },
    { ...external, externalName: HOSTILE },
    headless,
  ];
  state.plan = () => ({
    node: { ...plan.node, name: HOSTILE },
    services: new Map(services.map((one) => [`${one.namespace}/${one.name}`, one])),
  });
  const hostile = encodeURIComponent(HOSTILE);
  await withQueryApi(state, async (ask) => {
    for (
      const path of [
        "/",
        `/?search=${hostile}&cursor=${hostile}`,
        `/services/default/${hostile}`,
        "/services/default/elsewhere",
        `/services/${hostile}/${hostile}`,
        `/explain?source=${hostile}&dest=${hostile}&port=${hostile}&protocol=${hostile}`,
        `/drift?verify=${hostile}`,
      ]
    ) {
      const { text } = await ask(path);
      assert.doesNotMatch(text, /<img|<script>/, path);
      assert.match(text, /<\/html>/, path);
    }
    assert.match((await ask(`/services/default/${hostile}`)).text, /&lt;img src=x/);
  });
});

Deno.test("the documentation has every operation and every shape of the document", async () => {
  await withQueryApi(await state(), async (ask) => {
    const document = (await ask("/openapi.json")).json;
    const { text } = await ask("/docs");
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods as object)) {
        const id = `${method}${path}`.replace(/[^a-zA-Z0-9]+/g, "-").replace(/-$/, "");
        assert.ok(text.includes(`id="${id}"`), id);
      }
    }
    for (const name of Object.keys(document.components.schemas)) {
      assert.ok(text.includes(`id="shape-${name}"`), name);
    }
    for (const [, target] of text.matchAll(/href="#([^"]+)"/g)) {
      assert.ok(text.includes(`id="${target}"`), target);
    }
  });
});

/** Relative luminance (WCAG 2.2). */
function luminance(colour: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

Deno.test("text can be read on what is behind it, in light and dark", async () => {
  await withQueryApi(await state(), async (ask) => {
    const { text } = await ask("/assets/style.css");
    const blocks = [...text.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) =>
      new Map(
        [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name, value]) => [name, value]),
      )
    );
    assert.equal(blocks.length, 2);
    for (const colours of blocks) {
      const pairs = [
        ...["text", "quiet", "accent", "good", "warn", "bad"].flatMap((front) =>
          ["ground", "card", "sunken"].map((back) => [front, back])
        ),
        ...["accent", "good", "warn", "bad"].map((front) => [front, `${front}-soft`]),
        ["on-accent", "accent"],
        ["text", "accent-soft"],
        ["quiet", "accent-soft"],
      ];
      for (const [front, back] of pairs) {
        const [a, b] = [front, back].map((name) => luminance(colours.get(name)!));
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        assert.ok(contrast >= 4.5, `${front} on ${back}: ${contrast.toFixed(2)}`);
      }
    }
  });
});

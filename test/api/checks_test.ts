import assert from "node:assert/strict";
import { Hono } from "hono";
import { type Check, checks } from "../../src/api/checks.ts";

function app(...all: readonly Check[]): Hono {
  const app = new Hono();
  app.onError((error, context) => context.text(error.message, 400));
  app.use(checks(...all));
  app.get("/", (context) => context.text("answered"));
  return app;
}

async function textOf(...all: readonly Check[]): Promise<string> {
  return await (await app(...all).request("/")).text();
}

Deno.test("checks run in order, and the answer comes behind all of them", async () => {
  const order: string[] = [];
  const now = (name: string): Check => () => {
    order.push(name);
    return null;
  };
  const later = (name: string): Check => async () => {
    await Promise.resolve();
    order.push(name);
  };
  assert.equal(await textOf(now("a"), later("b"), now("c"), later("d")), "answered");
  assert.deepEqual(order, ["a", "b", "c", "d"]);
  assert.equal(await textOf(), "answered");
});

Deno.test("a check that answers or throws ends the row", async () => {
  const never: Check = () => assert.fail("the row had ended");
  assert.equal(await textOf(() => new Response("mine"), never), "mine");
  assert.equal(await textOf(() => Promise.resolve(new Response("late")), never), "late");
  const refuse: Check = () => {
    throw new Error("refused");
  };
  assert.equal(await textOf(refuse, never), "refused");
  assert.equal(await textOf(() => Promise.reject(new Error("later")), never), "later");
});

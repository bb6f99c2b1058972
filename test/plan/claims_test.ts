import assert from "node:assert/strict";
import { FrontendClaims } from "../../src/plan/claims.ts";

Deno.test("the first by name owns a frontend, and those who gain or lose one are told", () => {
  const claims = new FrontendClaims();
  const replace = (service: string, ...frontends: string[]) =>
    [...claims.replace(service, new Set(frontends))].sort();

  assert.deepEqual(replace("b/web", "x", "y"), []);
  assert.deepEqual([...claims.contested], []);
  assert.deepEqual(replace("c/web", "x"), []);
  assert.ok(claims.owns("b/web", "x"));
  assert.ok(!claims.owns("c/web", "x"));
  assert.deepEqual(replace("a/web", "x", "y"), ["b/web"]);
  assert.deepEqual(claims.claimants("x"), ["a/web", "b/web", "c/web"]);
  assert.deepEqual([...claims.contested].sort(), ["x", "y"]);
  assert.deepEqual(replace("a/web", "y"), ["b/web"]);
  assert.ok(claims.owns("b/web", "x"));
  assert.deepEqual(replace("b/web"), ["c/web"]);
  assert.ok(claims.owns("c/web", "x"));
  assert.deepEqual(replace("a/web"), []);
  assert.deepEqual(replace("c/web"), []);
  assert.deepEqual([...claims.contested], []);
  assert.deepEqual(claims.claimants("x"), []);
  assert.ok(!claims.owns("c/web", "x"));
});

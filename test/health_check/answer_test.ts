import assert from "node:assert/strict";
import { answerFor } from "../../src/health_check/answer.ts";

const web = { namespace: "shop", name: "web", localEndpoints: 2, proxyHealthy: true };

Deno.test("the answer is kube-proxy's, byte for byte", () => {
  assert.deepEqual(answerFor(web), {
    status: 200,
    headers: {
      "content-type": "application/json",
      "x-content-type-options": "nosniff",
      "x-load-balancing-endpoint-weight": "2",
    },
    body:
      '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,' +
      '\n\t"serviceProxyHealthy": true\n}',
  });
});

Deno.test("503 without an endpoint here, or with a proxy that is behind", () => {
  assert.equal(answerFor({ ...web, localEndpoints: 0 }).status, 503);
  const behind = answerFor({ ...web, proxyHealthy: false });
  assert.equal(behind.status, 503);
  assert.equal(JSON.parse(behind.body).serviceProxyHealthy, false);
});

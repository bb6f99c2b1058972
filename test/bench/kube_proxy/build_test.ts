import assert from "node:assert/strict";
import { KUBERNETES_VERSION, moduleFile, Unavailable } from "../../../bench/kube_proxy/build.ts";

Deno.test("Kubernetes' own modules are replaced by the published ones of its version", () => {
  const text = moduleFile(
    "module k8s.io/kubernetes\n\ngo 1.24.0\n\ngodebug default=go1.24\n\nreplace (\n" +
      "\tk8s.io/api => ./staging/src/k8s.io/api\n" +
      "\tk8s.io/client-go => ./staging/src/k8s.io/client-go\n)\n",
  );
  const published = KUBERNETES_VERSION.replace(/^1/, "0");
  assert.equal(
    text,
    `module comparator\ngo 1.24.0\nrequire k8s.io/kubernetes v${KUBERNETES_VERSION}\n` +
      `replace k8s.io/api => k8s.io/api v${published}\n` +
      `replace k8s.io/client-go => k8s.io/client-go v${published}\n`,
  );
});

Deno.test("another layout of Kubernetes is said", () => {
  assert.throws(() => moduleFile("module k8s.io/kubernetes\n"), Unavailable);
});

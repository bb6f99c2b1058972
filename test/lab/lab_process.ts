/**
 * A lab in a process of its own, for tests that end it, however roughly, or call into it: two pods,
 * no data plane. Prints "ready" and runs until SIGINT, or prints why there can be no lab.
 *
 * @module
 */

import type { Pod } from "../../src/cluster/objects.ts";
import { obtainPrivileges } from "../../src/lab/privileges.ts";
import { startLab } from "../../src/lab/run.ts";

const pod = (n: number): Pod => ({
  kind: "Pod",
  metadata: { name: `web-${n}`, namespace: "default" },
  spec: { containers: [{ name: "web", ports: [{ containerPort: 80, protocol: "TCP" }] }] },
  status: { podIPs: [`10.244.3.${n}`] },
});

const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

const privileges = obtainPrivileges();
if (!privileges.namespaces) {
  print(privileges.reason);
  Deno.exit(3);
}
const stop = Promise.withResolvers<void>();
Deno.addSignalListener("SIGINT", () => stop.resolve());
const lab = await startLab({
  userNamespace: privileges.userNamespace,
  problems: (lines) => lines.forEach(print),
});
lab.setPods([pod(1), pod(2)]);
await lab.settled();
print("ready");
await stop.promise;
await lab.stop();

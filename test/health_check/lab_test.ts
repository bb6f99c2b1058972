/** The agent in the lab: health check node ports answer on the lab's node, as its clients see it. */

import assert from "node:assert/strict";
import { MAIN, runCommand, scriptCommand, UNPRIVILEGED, withProcess } from "../lab/processes.ts";
import { requires } from "../requirements.ts";

const PORT = 30123;
const MANIFEST = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: ${PORT}
  selector: { app: web }
  ports: [{ port: 80 }]
---
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  nodeName: lab-node
  containers: [{ name: web, image: web, ports: [{ containerPort: 80 }] }]
`;

async function asksHealth(mode: string, wrapper: readonly string[]): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "switchyard-health-" });
  try {
    await Deno.writeTextFile(`${folder}/web.yaml`, MANIFEST);
    const lab = scriptCommand(
      MAIN,
      "lab",
      `--manifests=${folder}`,
      `--proxy-mode=${mode}`,
      "--output=json",
      ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
    );
    await withProcess([...wrapper, ...lab], async (running) => {
      await running.nextLine();
      assert.equal(JSON.parse((await running.nextLine())!).mode, mode);
      const curl = ["curl", "-s", "-m", "60", `http://192.168.50.10:${PORT}/healthz`];
      const { code, stdout, stderr } = await runCommand(
        running.stateFile,
        scriptCommand(MAIN, "lab", "exec", "client", "--", ...curl),
      );
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), {
        service: { namespace: "default", name: "web" },
        localEndpoints: 1,
        serviceProxyHealthy: true,
      });
      // The host has nothing of it.
      await assert.rejects(fetch(`http://127.0.0.1:${PORT}/`));
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  ...requires("iptables mode, the lab: health is asked of the node", "root", "netns", "iptables"),
  fn: () => asksHealth("iptables", []),
});

Deno.test({
  ...requires(
    "userspace mode, a lab without root: health is asked of the node",
    "root",
    "tun",
    "unshare",
    "curl",
  ),
  fn: () => asksHealth("userspace", UNPRIVILEGED),
});

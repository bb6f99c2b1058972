/**
 * The image for real, by `deno task image`: podman builds it from deploy/Containerfile and runs it with the
 * DaemonSet's restrictions. That takes minutes, root and podman, so that it is no part of `npm test`.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { RunningContainer } from "./container.ts";
import { checkNode, NODE, NodeBed } from "./node_check.ts";
import { buildImage } from "./podman.ts";

const image = await buildImage();
Deno.test.afterAll(() => image[Symbol.dispose]());
const start = image.start.bind(image);
const KUBEADM = fileURLToPath(new URL("../config/fixtures/kubeadm.yaml", import.meta.url));

Deno.test("a container of the image programs a node, as the DaemonSet runs it", async () => {
  await checkNode(start);
});

Deno.test("it uses the iptables that the kubelet uses, is alone on its node, and cleans up", async () => {
  await using bed = await NodeBed.create();
  bed.output("iptables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT");
  const init = await bed.privileged(start).ended;
  assert.equal(init.code, 0, init.stderr);
  const container = bed.agent(start);
  try {
    await container.says(/^serving 1 Service in iptables mode/m);
    assert.match(bed.rules("nat", "-legacy"), /-A KUBE-SERVICES .*default\/web/);
    assert.doesNotMatch(bed.rules("nat", "-nft"), /KUBE-SERVICES/);
    const second = await bed.agent(start).ended;
    assert.equal(second.code, 1);
    assert.match(second.stderr, /another switchyard programs this node/);
    Deno.kill(container.pid, "SIGTERM");
    assert.equal((await container.ended).code, 0);
    const cleanup = await bed.agent(start, ["--cleanup"]).ended;
    assert.equal(cleanup.code, 0, cleanup.stderr);
    assert.doesNotMatch(bed.rules("nat", "-legacy"), /KUBE-/);
  } finally {
    container.kill();
    await container.ended;
  }
});

Deno.test("without rights it says which, and ends", async () => {
  await using bed = await NodeBed.create();
  const without = (capabilities: readonly string[]) =>
    bed.agent((options) => image.start({ ...options, capabilities })).ended;
  const none = await without([]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^switchyard: this node cannot be programmed: .*Permission denied/m);
  bed.output("iptables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT");
  const half = await without(["NET_ADMIN"]);
  assert.equal(half.code, 1);
  assert.match(half.stderr, /cannot be programmed: .* that takes CAP_NET_ADMIN and CAP_NET_RAW/);
});

/** Puts kubeadm's ConfigMap in place of ours. */
async function mountKubeadm(bed: NodeBed): Promise<void> {
  const config = await Deno.readTextFile(KUBEADM);
  await Deno.writeTextFile(
    `${bed.mounts["/var/lib/kube-proxy"]}/config.conf`,
    // A namespace of its own may not set what is the whole machine's.
    config.replace("maxPerCore: null", "maxPerCore: 0"),
  );
}

/** Waits until a container serves, asks how it is, and ends it. */
async function serves(bed: NodeBed, container: RunningContainer): Promise<void> {
  try {
    await container.says(/^serving 1 Service in iptables mode/m);
    assert.equal(JSON.parse(bed.ask("10256/healthz")).healthy, true);
    Deno.kill(container.pid, "SIGTERM");
    const { code, stderr } = await container.ended;
    assert.equal(code, 0, stderr);
  } finally {
    container.kill();
    await container.ended;
  }
}

Deno.test("the overlay for kubeadm runs it with kubeadm's ConfigMap", async () => {
  await using bed = await NodeBed.create();
  await mountKubeadm(bed);
  const init = await bed.privileged(start).ended;
  assert.equal(init.code, 0, init.stderr);
  await serves(bed, bed.agent(start));
});

Deno.test("kubeadm's DaemonSet runs it with only the image changed", async () => {
  await using bed = await NodeBed.create();
  await mountKubeadm(bed);
  await serves(
    bed,
    bed.privileged(
      (given) => image.start({ ...given, command: "/usr/local/bin/kube-proxy", writable: true }),
      ["--config=/var/lib/kube-proxy/config.conf", `--hostname-override=${NODE}`],
    ),
  );
});

import assert from "node:assert/strict";
import { ApiClient } from "../../src/cluster/kubernetes/api_client.ts";
import { EventRecorder } from "../../src/cluster/kubernetes/event_recorder.ts";
import { parseKubeconfig } from "../../src/cluster/kubernetes/kubeconfig.ts";
import { ClusterEvents } from "../../src/agent/cluster_events.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { ApiDouble } from "../cluster/kubernetes/api_double.ts";
import { rawNode, rawService, RunningSource } from "../cluster/kubernetes/helpers.ts";
import {
  argumentsOf,
  base,
  DEPLOY,
  type Manifest,
  objectsIn,
  PROJECT,
  rights,
  rightsFor,
} from "./manifests.ts";

const FOLDERS = ["base", "overlays/one-node", "overlays/kubeadm"];

Deno.test("every file is YAML of Kubernetes, and its kustomization names it", () => {
  for (const folder of FOLDERS) {
    const files = [...Deno.readDirSync(`${DEPLOY}/${folder}`)].map(({ name }) => name);
    for (const name of files) {
      const objects = objectsIn(Deno.readTextFileSync(`${DEPLOY}/${folder}/${name}`));
      for (const { apiVersion, kind } of objects) assert.ok(apiVersion && kind, name);
    }
  }
  const listed = base("kustomization").resources;
  const files = [...Deno.readDirSync(`${DEPLOY}/base`)].map(({ name }) => name);
  assert.deepEqual([...listed, "kustomization.yaml"].sort(), files.sort());
});

const { data } = base("config-map");

Deno.test("the DaemonSet's arguments and the ConfigMap are taken, with nothing in vain", () => {
  for (const container of ["init", "switchyard"]) {
    const args = argumentsOf(container, "node-a");
    const { config, positionals } = parseCommandLine(args, "run", () => "other", (path) => {
      assert.equal(path, "/var/lib/kube-proxy/config.conf");
      return data["config.conf"];
    });
    assert.deepEqual(positionals, []);
    assert.equal(config.initOnly, container === "init");
    assert.equal(config.nodeName, "node-a");
    assert.equal(config.proxyMode, "iptables");
    assert.equal(config.kubeconfig, "/var/lib/kube-proxy/kubeconfig.conf");
    assert.deepEqual([config.withoutEffect, config.ignored], [[], []]);
  }
  const { cluster, user } = parseKubeconfig(data["kubeconfig.conf"], "kubeconfig.conf");
  assert.match(cluster.server!, /^https:/);
  assert.ok(user.tokenFile?.startsWith("/var/run/secrets/"));
});

Deno.test("what the pod mounts is there, and it may do no more than it must", () => {
  const { metadata, spec } = base("daemon-set");
  const pod = spec.template.spec;
  const volumes = pod.volumes.map(({ name }: Manifest) => name);
  for (const container of [...pod.initContainers, ...pod.containers]) {
    for (const { name } of container.volumeMounts) assert.ok(volumes.includes(name), name);
    assert.equal(container.securityContext.readOnlyRootFilesystem, true);
  }
  assert.equal(pod.volumes[0].configMap.name, base("config-map").metadata.name);
  assert.equal(pod.serviceAccountName, base("service-account").metadata.name);
  assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels);
  assert.deepEqual(pod.containers[0].securityContext.capabilities, {
    drop: ["ALL"],
    add: ["NET_ADMIN", "NET_RAW"],
  });
  const [, binding] = objectsIn(Deno.readTextFileSync(`${DEPLOY}/base/cluster-role.yaml`));
  const { name, namespace } = binding.subjects[0];
  assert.deepEqual([name, namespace], [pod.serviceAccountName, metadata.namespace]);
  assert.equal(binding.roleRef.name, base("cluster-role").metadata.name);
});

Deno.test("the ClusterRole gives the rights to what is asked for, and no others", async () => {
  await using api = new ApiDouble();
  api.put(rawService("web"), rawNode("node-a"));
  await using running = await RunningSource.on(api, { nodeName: "node-a", serviceCIDRs: true });
  await running.until(() => api.openWatches === 4);
  const writer = await ApiClient.open({ master: api.url });
  const recorder = new EventRecorder({ writer, controller: "switchyard", instance: "node-a" });
  const events = new ClusterEvents(recorder, "node-a");
  events.started();
  events.started();
  await recorder.stop(30_000);
  writer.close();
  assert.deepEqual(rightsFor(api.requests), rights());
});

/** What is at a path of JSON Pointer (RFC 6901); undefined where there is nothing. */
function pointed(object: Manifest, path: string): Manifest {
  return path.split("/").slice(1).reduce((value, part) => value?.[part], object);
}

Deno.test("the overlays change what is there in the base", () => {
  const operations = ["one-node", "kubeadm"].flatMap((overlay) => {
    const [{ patches }] = objectsIn(
      Deno.readTextFileSync(`${DEPLOY}/overlays/${overlay}/kustomization.yaml`),
    );
    const own = patches.filter(({ target }: Manifest) => target?.name === "switchyard");
    return own.flatMap(({ patch }: Manifest) => objectsIn(patch)[0]);
  });
  assert.deepEqual(operations.map(({ op }) => op), ["add", "replace"]);
  const daemonSet = base("daemon-set");
  const [label, configMap] = operations.map(({ path }) => path);
  assert.equal(typeof pointed(daemonSet, label.replace(/[/][^/]+$/, "")), "object");
  assert.equal(pointed(daemonSet, configMap), base("config-map").metadata.name);
});

Deno.test("the image is made of what is there, with the Deno that the project runs on", () => {
  const containerfile = Deno.readTextFileSync(`${DEPLOY}/Containerfile`);
  const ignored = Deno.readTextFileSync(`${DEPLOY}/Containerfile.dockerignore`).split("\n");
  for (const [, from, sources] of containerfile.matchAll(/^COPY (--from=\w+ )?(.+) \S+$/gm)) {
    if (from !== undefined) continue;
    for (const source of sources.split(" ")) {
      Deno.statSync(`${PROJECT}/${source}`);
      assert.ok(ignored.includes(`!${source}`), `${source} is not in the build's context`);
    }
  }
  const { scripts } = JSON.parse(Deno.readTextFileSync(`${PROJECT}/package.json`));
  const [version] = /deno@[0-9.]+/.exec(scripts.start)!;
  assert.ok(containerfile.includes(`npm install --prefix /deno ${version} `));
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${PROJECT}/deno.json`));
  const entryPoint = Deno.readTextFileSync(`${DEPLOY}/kube-proxy`).split(/\s+/);
  for (const option of tasks.run.command.split(" ").filter((word: string) => /^--/.test(word))) {
    assert.ok(entryPoint.includes(option), `deploy/kube-proxy lacks ${option}`);
  }
  const { mode } = Deno.statSync(`${DEPLOY}/kube-proxy`);
  assert.equal(mode! & 0o111, 0o111, "deploy/kube-proxy can be run");
});

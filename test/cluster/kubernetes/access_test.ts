import assert from "node:assert/strict";
import { type AccessOptions, findAccess } from "../../../src/cluster/kubernetes/access.ts";

/** As kubeadm writes it for kube-proxy. */
const KUBEADM = `
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://192.168.1.10:6443
  name: default
contexts:
- context: {cluster: default, namespace: default, user: default}
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`;

async function inFolder<T>(
  files: Record<string, string>,
  fn: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    return await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function accessOf(kubeconfig: string, options: AccessOptions = {}) {
  return inFolder(
    { config: kubeconfig },
    (folder) => findAccess({ ...options, kubeconfig: `${folder}/config` }),
  );
}

/** The message of an error, with the folder of the file left out. */
function refusal(kubeconfig: string, options: AccessOptions = {}): Promise<string> {
  return inFolder({ config: kubeconfig }, async (folder) => {
    try {
      await findAccess({ ...options, kubeconfig: `${folder}/config` });
    } catch (error) {
      assert(error instanceof Error);
      return error.message.replaceAll(`${folder}/`, "");
    }
    assert.fail("expected a refusal");
  });
}

Deno.test("kubeadm's kubeconfig for kube-proxy is read", async () => {
  const access = await accessOf(KUBEADM);
  assert.equal(access.server, "https://192.168.1.10:6443");
  assert.equal(
    access.cluster["certificate-authority"],
    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
  );
  assert.equal(access.user.tokenFile, "/var/run/secrets/kubernetes.io/serviceaccount/token");
});

Deno.test("--master stands over the kubeconfig's server, and may stand alone", async () => {
  const access = await accessOf(KUBEADM, { master: "https://10.0.0.1:443/k8s/" });
  assert.equal(access.server, "https://10.0.0.1/k8s");
  assert(access.user.tokenFile !== undefined);
  for (
    const [master, server] of [
      ["http://127.0.0.1:8001/", "http://127.0.0.1:8001"],
      ["127.0.0.1:8080", "http://127.0.0.1:8080"],
      ["https://[fd00::1]:6443", "https://[fd00::1]:6443"],
    ]
  ) {
    assert.deepEqual(await findAccess({ master }), { server, cluster: {}, user: {} });
  }
});

Deno.test("Paths in a kubeconfig are relative to it", async () => {
  await inFolder({
    config: `
clusters: [{name: c, cluster: {server: "localhost:6443", certificate-authority: ca.crt}}]
users:
- name: u
  user:
    client-certificate: pki/me.crt
    client-key: /abs/me.key
    tokenFile: ../token
    exec: {command: ./bin/login, apiVersion: client.authentication.k8s.io/v1}
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`,
  }, async (folder) => {
    const { server, cluster, user } = await findAccess({ kubeconfig: `${folder}/config` });
    assert.equal(server, "https://localhost:6443");
    assert.equal(cluster["certificate-authority"], `${folder}/ca.crt`);
    assert.equal(user["client-certificate"], `${folder}/pki/me.crt`);
    assert.equal(user["client-key"], "/abs/me.key");
    assert.equal(user.tokenFile, folder.replace(/[^/]*$/, "token"));
    assert.equal(user.exec?.command, `${folder}/bin/login`);
  });
});

Deno.test("A kubeconfig that cannot be used says why, in one line", async () => {
  const cases: readonly [string, string][] = [
    ["clusters: {", "config: expected YAML or JSON: "],
    ["[]", "config: expected an object, found an empty list"],
    ["clusters: 3", "config: clusters: expected a list, found 3"],
    [
      KUBEADM.replace("https://192.168.1.10:6443", "{}"),
      "config: clusters[0].cluster.server: expected a string, found an object",
    ],
    [
      KUBEADM.replace("current-context: default", "current-context: prod"),
      'config: current-context: there is no "prod", expected one of: default',
    ],
    [
      KUBEADM.replace("{cluster: default,", "{cluster: prod,"),
      'config: cluster of context "default": there is no "prod", expected one of: default',
    ],
    [
      KUBEADM.replace("user: default}", "user: me}"),
      'config: user of context "default": there is no "me", expected one of: default',
    ],
    [
      KUBEADM.replace("https://192.168.1.10:6443", "ftp://192.168.1.10"),
      'config: server: expected https://host:port, found "ftp://192.168.1.10"',
    ],
    ["", "config: the current context names no cluster with a server"],
  ];
  for (const [kubeconfig, expected] of cases) {
    const message = await refusal(kubeconfig);
    assert(message.startsWith(expected), `${message}\n${expected}`);
    assert(!message.includes("\n"), message);
  }
  await assert.rejects(findAccess({ kubeconfig: "/nowhere/config" }), {
    message: "--kubeconfig /nowhere/config: there is no such file",
  });
  await assert.rejects(findAccess({ master: "a b" }), {
    message: '--master: expected https://host:port, found "a b"',
  });
});

Deno.test("A pod finds its cluster in its environment", async () => {
  await inFolder({ token: "t", "ca.crt": "" }, async (serviceAccountFolder) => {
    const env = (host: string) => (name: string) =>
      ({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: "443" })[name];
    const v4 = await findAccess({ serviceAccountFolder, env: env("10.96.0.1") });
    assert.equal(v4.server, "https://10.96.0.1");
    assert.equal(v4.user.tokenFile, `${serviceAccountFolder}/token`);
    assert.equal(v4.cluster["certificate-authority"], `${serviceAccountFolder}/ca.crt`);
    const v6 = await findAccess({ serviceAccountFolder, env: env("fd00::1") });
    assert.equal(v6.server, "https://[fd00::1]");
    await assert.rejects(
      findAccess({ serviceAccountFolder: "/nowhere", env: env("10.96.0.1") }),
      /^Error: \/nowhere\/token: expected the pod's service account token: /,
    );
    await assert.rejects(
      findAccess({ env: () => undefined }),
      /no cluster is known: expected --kubeconfig or --master, or to run in a pod/,
    );
  });
});

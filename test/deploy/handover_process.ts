/**
 * kube-proxy, then Switchyard, then kube-proxy again on one node, which is the network namespace that
 * this process is in, with kubeadm's configuration and arguments: prints of each the node's rules and
 * the names of its metrics.
 */

import { fileURLToPath } from "node:url";
import { printLines } from "../../src/commands/io.ts";
import { RealApi } from "../cluster/kubernetes/real_api.ts";
import { KUBE_PROXY } from "../kube_proxy.ts";
import { until } from "../until.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const CONFIGURATION = fileURLToPath(new URL("../config/fixtures/kubeadm.yaml", import.meta.url));
const NODE = "node-a";
const SERVICES = 20;
const NODE_ADDRESS = "192.0.2.7";

/** Services of several kinds; some have no endpoints. */
function service(i: number) {
  return {
    metadata: { name: `s${i}` },
    spec: {
      type: i % 3 === 0 ? "NodePort" : "ClusterIP",
      ports: [
        { name: "http", port: 80, targetPort: 8080 },
        { name: "dns", port: 53, protocol: "UDP" },
      ],
      ...(i % 4 === 0 ? { sessionAffinity: "ClientIP" } : {}),
      ...(i % 6 === 0 ? { externalTrafficPolicy: "Local" } : {}),
      ...(i === 7 ? { externalIPs: ["198.51.100.7"] } : {}),
    },
  };
}

function slice(i: number) {
  return {
    metadata: { name: `s${i}`, labels: { "kubernetes.io/service-name": `s${i}` } },
    addressType: "IPv4",
    endpoints: Array.from({ length: i % 5 }, (_, j) => ({
      addresses: [`10.244.${i}.${j + 1}`],
      nodeName: j % 2 === 0 ? NODE : "node-b",
      conditions: { ready: true },
    })),
    ports: [{ name: "http", port: 8080 }, { name: "dns", port: 53, protocol: "UDP" }],
  };
}

async function fill(api: RealApi): Promise<void> {
  await api.request("POST", "/api/v1/nodes", { metadata: { name: NODE } });
  await api.request("PATCH", `/api/v1/nodes/${NODE}/status`, {
    status: { addresses: [{ type: "InternalIP", address: NODE_ADDRESS }] },
  });
  for (let i = 0; i < SERVICES; i++) {
    await api.request("POST", "/api/v1/namespaces/default/services", service(i));
    const path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    await api.request("POST", path, slice(i));
  }
}

/**
 * Every chain and rule of both families, without counters: "iptables nat -A KUBE-SERVICES …". The
 * rules of a chain are in their order. That of chains, and of Services in the chains that lead to them,
 * says nothing, so that they are sorted.
 */
async function rules(): Promise<string[]> {
  const lists = await Promise.all(["iptables", "ip6tables"].map(async (program) => {
    const { stdout } = await new Deno.Command(`${program}-save`).output();
    let table = "";
    return new TextDecoder().decode(stdout).split("\n").flatMap((line) => {
      if (line.startsWith("*")) table = line.slice(1);
      return /^(?::|-A )/.test(line) ? [`${program} ${table} ${line.replace(/\[.*/, "")}`] : [];
    });
  }));
  const key = (line: string) => {
    const [chain] = /^\S+ \S+ (?::|-A )\S+/.exec(line)!;
    return / KUBE-(?:SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL)$/.test(chain)
      ? line
      : chain;
  };
  return lists.flat().sort((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}

/** What there is to compare of a proxy. */
interface Served {
  readonly rules: readonly string[];
  readonly metrics: readonly string[];
}

/** The names in a metrics text of both paths where they are. */
async function metricNames(): Promise<string[]> {
  const names: string[] = [];
  // One after the other: that of health checks is there once there was one.
  for (const path of ["/healthz", "/metrics", "/metrics/slis"]) {
    const response = await fetch(`http://127.0.0.1:10249${path}`);
    for (const [, name] of (await response.text()).matchAll(/^# TYPE (\S+)/gm)) names.push(name);
  }
  return names;
}

/** Runs a proxy until it has been healthy for a while with all Services. */
async function serve(command: readonly string[], signal: Deno.Signal): Promise<Served> {
  const [program, ...args] = command;
  const child = new Deno.Command(program, { args, stdout: "null", stderr: "null" }).spawn();
  try {
    await until(async () => {
      const all = (await rules()).some((line) => line.includes(`default/s${SERVICES - 1}:http`));
      return all && await isHealthy();
    }, `${program} is healthy, with all Services`);
    // What it has still to do it does within its sync periods.
    for (let last: string[] = [];;) {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const found = await rules();
      if (found.join("\n") === last.join("\n")) {
        return { rules: found, metrics: await metricNames() };
      }
      last = found;
    }
  } finally {
    child.kill(signal);
    await child.status;
  }
}

async function isHealthy(): Promise<boolean> {
  try {
    const response = await fetch("http://127.0.0.1:10256/healthz");
    await response.body?.cancel();
    return response.ok;
  } catch {
    // It does not listen yet.
    return false;
  }
}

await using api = await RealApi.start();
await fill(api);
const configuration = api.pki.path("kube-proxy.yaml");
const text = await Deno.readTextFile(CONFIGURATION);
await Deno.writeTextFile(
  configuration,
  text.replace(/kubeconfig: \S+/, `kubeconfig: ${await api.kubeconfig()}`)
    // A namespace of its own may not set what is the whole machine's.
    .replace("maxPerCore: null", "maxPerCore: 0"),
);
const args = [`--config=${configuration}`, `--hostname-override=${NODE}`];
const kubeProxy = [KUBE_PROXY, ...args];
const switchyard = [Deno.execPath(), "run", "--no-check", "--allow-all", MAIN, ...args];
printLines(JSON.stringify([
  await serve(kubeProxy, "SIGKILL"),
  await serve(switchyard, "SIGTERM"),
  await serve(kubeProxy, "SIGKILL"),
]));

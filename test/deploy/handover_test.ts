import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { missingAssets } from "../cluster/kubernetes/real_api.ts";
import { missingKubeProxy } from "../kube_proxy.ts";
import { missing } from "../requirements.ts";

const PROCESS = fileURLToPath(new URL("handover_process.ts", import.meta.url));

const reason = missingAssets() ?? missingKubeProxy() ??
  missing("root", "netns", "openssl", "iptables", "ip", "unshare");
const name =
  "kube-proxy hands a node over and takes it back: not a rule is another, no metric missing";

/**
 * Metrics of kube-proxy that tell of Go, its libraries, or code of other components that is linked into
 * it; of the registry they are in; and of what Prometheus ascribes to a process but is the node's.
 */
const NOT_OURS = new RegExp(
  "^(go_|aggregator_|apiserver_|workqueue_|cardinality_enforcement_|rest_client_transport_" +
    "|rest_client_exec_plugin_|rest_client_rate_limiter_|rest_client_(request|response)_size_" +
    "|(disabled|hidden|registered)_metrics_total$|process_network_)",
);

/** A namespace with an address and a way out, as a node has, and the process in it. */
const SCRIPT = `
ip link set lo up
ip link add node type veth peer name rest
ip address add 192.0.2.7/24 dev node
ip link set rest up
ip link set node up
ip route add default dev node
exec "$@"`;

Deno.test({
  name: reason === null ? name : `${name} (skipped: ${reason})`,
  ignore: reason !== null,
  async fn() {
    const { success, stdout, stderr } = await new Deno.Command("unshare", {
      args: [
        ...["--net", "--", "sh", "-euc", SCRIPT, "sh"],
        ...[Deno.execPath(), "run", "--no-check", "--allow-all", PROCESS],
      ],
      signal: AbortSignal.timeout(600_000),
    }).output();
    const decoder = new TextDecoder();
    assert.ok(success, decoder.decode(stderr));
    const served: { rules: string[]; metrics: string[] }[] = JSON.parse(decoder.decode(stdout));
    const [before, between, after] = served.map(({ rules }) => rules);
    const chains = (rules: readonly string[]) =>
      rules.filter((line) => line.includes(" :KUBE-SVC-"));
    assert.ok(chains(before).length > 20, "kube-proxy has programmed the Services");
    assert.deepEqual(between, before);
    assert.deepEqual(after, between);
    const [theirs, ours] = served.map(({ metrics }) => metrics);
    const wanted = theirs.filter((name) => !NOT_OURS.test(name));
    assert.ok(wanted.includes("kubeproxy_sync_proxy_rules_duration_seconds"));
    assert.ok(wanted.includes("kubernetes_healthcheck"));
    assert.deepEqual(wanted.filter((name) => !ours.includes(name)), []);
  },
});

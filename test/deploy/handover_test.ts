import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { missingAssets } from "../cluster/kubernetes/real_api.ts";
import { missing } from "../requirements.ts";

const PROCESS = fileURLToPath(new URL("handover_process.ts", import.meta.url));

const reason = missingAssets() ?? missingKubeProxy() ??
  missing("root", "netns", "openssl", "iptables", "ip", "unshare");
const name = "kube-proxy hands a node over and takes it back: not a rule is another";

function missingKubeProxy(): string | null {
  try {
    Deno.statSync(`${Deno.env.get("KUBEBUILDER_ASSETS")}/kube-proxy`);
    return null;
  } catch {
    return "KUBEBUILDER_ASSETS has no kube-proxy";
  }
}

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
    const [before, between, after]: string[][] = JSON.parse(decoder.decode(stdout));
    const chains = (rules: readonly string[]) =>
      rules.filter((line) => line.includes(" :KUBE-SVC-"));
    assert.ok(chains(before).length > 20, "kube-proxy has programmed the Services");
    assert.deepEqual(between, before);
    assert.deepEqual(after, between);
  },
});

import assert from "node:assert/strict";
import type { Outcome } from "../../../src/lab/probe.ts";
import { missing } from "../../requirements.ts";
import { PATIENCE_MS } from "../../until.ts";
import { missingAssets } from "../../cluster/kubernetes/real_api.ts";
import type { RawObject } from "../../cluster/kubernetes/api_state.ts";
import { RealServer } from "./api_server.ts";
import { NodeLab } from "./node_lab.ts";
import { type Condition, server, service, slice, target } from "./objects.ts";

const reason = missing("root", "netns", "iptables", "openssl") ?? missingAssets("kubectl");
const name = "what kubectl creates, patches, scales, labels and deletes is on the node";

/** Without a Service, the node's gateway says that the address is unreachable, or nothing. */
function whoAnswered(outcome: Outcome): string {
  if (outcome.kind === "answer") return outcome.pod;
  return outcome.kind === "refused" ? "refused" : "nobody";
}

class Kubectl {
  constructor(readonly kubeconfig: string) {}

  /** Runs it with an object on its standard input. */
  async run(args: readonly string[], input?: RawObject): Promise<void> {
    const child = new Deno.Command(`${Deno.env.get("KUBEBUILDER_ASSETS")}/kubectl`, {
      args: [`--kubeconfig=${this.kubeconfig}`, "--namespace=default", ...args],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    if (input !== undefined) await writer.write(new TextEncoder().encode(JSON.stringify(input)));
    await writer.close();
    const { success, stderr } = await child.output();
    assert.ok(success, `kubectl ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}

Deno.test({
  name: reason === null ? name : `${name} (skipped: ${reason})`,
  ignore: reason !== null,
  async fn() {
    await using lab = await NodeLab.start();
    await using api = await RealServer.start();
    const kubectl = new Kubectl(api.kubeconfig);
    const pods = ["10.244.1.1", "10.244.1.2", "10.244.1.3"];
    await lab.serve(pods.map((address) => server(address, [address])));
    const endpoints = (...addresses: readonly string[]) =>
      slice("web", new Map(addresses.map((address): [string, Condition] => [address, "ready"])));
    const agent = await lab.agent([...api.flags, "--proxy-mode=iptables"]);
    const [first, second] = [target("10.96.0.80"), { ...target("10.96.0.80"), port: 8000 }];
    const answers = (to = first) => async (...expected: readonly string[]) => {
      const end = performance.now() + PATIENCE_MS;
      for (;;) {
        const outcomes = await lab.ask(to, 24, 500);
        const found = new Set(outcomes.map(whoAnswered));
        if ([...found].sort().join() === [...expected].sort().join()) return;
        assert(performance.now() < end, `expected ${expected}, found ${[...found]}`);
      }
    };
    try {
      await kubectl.run(["create", "-f", "-"], service("web", "10.96.0.80"));
      await answers()("refused");
      await kubectl.run(["create", "-f", "-"], endpoints(pods[0]));
      await answers()(pods[0]);
      await kubectl.run(["apply", "-f", "-"], endpoints(...pods));
      await answers()(...pods);
      await kubectl.run(["apply", "-f", "-"], endpoints(pods[1]));
      await answers()(pods[1]);
      const ports = '[{"op": "replace", "path": "/spec/ports/0/port", "value": 8000}]';
      await kubectl.run(["patch", "service", "web", "--type=json", `--patch=${ports}`]);
      await answers(second)(pods[1]);
      const label = "service.kubernetes.io/service-proxy-name";
      await kubectl.run(["label", "service", "web", `${label}=other`]);
      await answers(second)("nobody");
      await kubectl.run(["label", "service", "web", `${label}-`]);
      await answers(second)(pods[1]);
      await kubectl.run(["delete", "service", "web"]);
      await answers(second)("nobody");
      assert.deepEqual((await lab.rules()).filter((line) => line.includes("default/web")), []);
    } finally {
      await agent.kill();
      await lab.cleanup();
    }
  },
});

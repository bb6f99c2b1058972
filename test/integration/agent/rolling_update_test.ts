import assert from "node:assert/strict";
import { missing } from "../../requirements.ts";
import { until } from "../../until.ts";
import { missingAssets } from "../../cluster/kubernetes/real_api.ts";
import { DoubleServer, RealServer, type TestApiServer } from "./api_server.ts";
import { NodeLab, SteadyClient } from "./node_lab.ts";
import { type Condition, server, service, slice, target } from "./objects.ts";

const BATCH = 20;
const BATCHES = 5;

const batch = (generation: number, index: number) =>
  Array.from({ length: BATCH }, (_, i) => `10.244.${generation}.${index * BATCH + i + 1}`);

const machine = (generation: number, index: number) =>
  server(`g${generation}-${index}`, batch(generation, index));

/** Every pod of the first generation gives way to one of the second, twenty at a time. */
async function rollingUpdate(start: () => Promise<TestApiServer>): Promise<void> {
  await using lab = await NodeLab.start();
  await using api = await start();
  const machines = new Map(
    Array.from({ length: BATCHES }, (_, i) => machine(1, i)).map((one) => [one.name, one]),
  );
  const endpoints = new Map<string, Condition>();
  const say = (index: number, generation: number, condition: Condition | null) => {
    for (const address of batch(generation, index)) {
      if (condition === null) endpoints.delete(address);
      else endpoints.set(address, condition);
    }
  };
  for (let i = 0; i < BATCHES; i++) say(i, 1, "ready");
  await lab.serve([...machines.values()]);
  await api.put(service("web", "10.96.0.80"));
  await api.put(slice("web", endpoints));
  const agent = await lab.agent([...api.flags, "--proxy-mode=iptables"]);
  const web = target("10.96.0.80");
  let client: SteadyClient | null = null;
  try {
    await lab.until(web, ({ kind }) => kind === "answer", "the Service answers");
    client = new SteadyClient(lab, [web]);
    for (let i = 0; i < BATCHES; i++) {
      machines.set(machine(2, i).name, machine(2, i));
      await lab.serve([...machines.values()]);
      say(i, 2, "ready");
      say(i, 1, "terminating");
      await api.put(slice("web", endpoints));
      const leads = new RegExp(
        `--to-destination (${batch(1, i).join("|").replaceAll(".", "\\.")}):`,
      );
      await until(
        async () => !(await lab.rules()).some((rule) => leads.test(rule)),
        "no rule leads to pods that terminate",
      );
      // So long a pod that terminates goes on serving: until the last who came to it has its answer.
      await client.round();
      say(i, 1, null);
      await api.put(slice("web", endpoints));
      machines.delete(machine(1, i).name);
      await lab.serve([...machines.values()]);
    }
    await client.round();
    const asking = client;
    await until(() => asking.asked > 200, "enough connections");
    await client.stop();
    assert.deepEqual(client.failures, [], `${client.failed} of ${client.asked} connections`);
    assert.ok(client.asked > 0);
    assert.ok([...client.pods].some((pod) => pod.startsWith("g1-")));
    assert.ok([...client.pods].some((pod) => pod.startsWith("g2-")));
    const after = await lab.ask(web, 40);
    assert.ok(after.every((outcome) => outcome.kind === "answer" && outcome.pod.startsWith("g2-")));
  } finally {
    await client?.stop();
    await agent.kill();
    await lab.cleanup();
  }
}

const servers = [
  {
    name: "the API server double",
    reason: null,
    start: () => Promise.resolve(new DoubleServer()),
  },
  {
    name: "a real kube-apiserver",
    reason: missingAssets() ?? missing("openssl"),
    start: () => RealServer.start(),
  },
];

for (const { name, reason, start } of servers) {
  const why = missing("root", "netns", "iptables") ?? reason;
  const title = `a rolling update of 100 endpoints through ${name} breaks no connection`;
  Deno.test({
    name: why === null ? title : `${title} (skipped: ${why})`,
    ignore: why !== null,
    fn: () => rollingUpdate(start),
  });
}

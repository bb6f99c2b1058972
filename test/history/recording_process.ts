/** Records without end, and says the id of each entry that is written. Killed by store_test.ts. */

import { printLines } from "../../src/commands/io.ts";
import { History, HISTORY_LIMITS } from "../../src/history/history.ts";
import { HistoryStore } from "../../src/history/store.ts";
import { outcome, sent } from "./rig.ts";

const [folder] = Deno.args;
// Files are made anew often, so that this is interrupted, too.
const { store, past } = await HistoryStore.open(folder, 20_000);
const history = new History({ ...HISTORY_LIMITS, entries: 50 }, past);
store.follow(history);
const node = { name: "n", addresses: [], nodePortAddresses: [], podNetworks: [] };
for (;;) {
  const service = {
    namespace: "default",
    name: `s${history.entries().length % 20}`,
    type: "ClusterIP" as const,
    headless: true,
    ports: [],
    healthCheckNodePort: 0,
    localReadyEndpoints: (history.entries().at(0)?.id ?? 0) + 1,
  };
  const change = { node, updated: [service], removed: [] };
  history.record(outcome({ change, changes: [], sent: [sent("IPv4", "-A X\n".repeat(20))] }));
  await store.written;
  printLines(String(history.entries()[0].id));
}

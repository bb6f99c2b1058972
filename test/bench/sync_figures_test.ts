import assert from "node:assert/strict";
import { SyncFigures } from "../../bench/sync_figures.ts";

const reply = (seconds: number, lines = 1, peak = 5e6) => ({
  seconds,
  cpu: seconds / 4,
  lines,
  peak,
});

Deno.test("ours is compared with kube-proxy, a changed endpoint with rewriting, changes with adding a rule", () => {
  const figures = new SyncFigures("nft, 3 Services", "iptables-restore");
  figures.addAlone("render", reply(0.5, 100));
  figures.add("first sync", "switchyard", reply(1, 100, 8e6));
  figures.add("first sync", "kube-proxy", reply(2, 50, 4e6));
  figures.add("endpoint changed", "switchyard", reply(0.01, 2));
  figures.add("endpoint changed", "kube-proxy", reply(0.1, 20));
  figures.add("endpoint changed", "switchyard", reply(0.03, 2));
  figures.add("endpoint changed", "kube-proxy", reply(0.1, 20));
  // Once only, because it takes long: compared with the first round's.
  figures.addAlone("rewrite", reply(1, 100));
  figures.addAlone("floor", reply(0.005, 0));
  const rows = figures.rows();
  assert.deepEqual(
    rows.map(({ name, unit, median, ratio, against }) => [
      name.replace("nft, 3 Services/", ""),
      unit,
      median,
      ratio === undefined ? null : Number(ratio.toFixed(3)),
      against ?? null,
    ]),
    [
      ["render/switchyard", "ms", 500, null, null],
      ["render/switchyard", "lines", 100, null, null],
      ["first sync/switchyard", "ms", 1000, 0.5, "kube-proxy"],
      ["first sync/switchyard", "ms CPU", 250, 0.5, "kube-proxy"],
      ["first sync/switchyard", "lines", 100, 2, "kube-proxy"],
      ["first sync/switchyard", "MB", 8, 2, "kube-proxy"],
      ["first sync/kube-proxy", "ms", 2000, null, null],
      ["first sync/kube-proxy", "ms CPU", 500, null, null],
      ["first sync/kube-proxy", "lines", 50, null, null],
      ["first sync/kube-proxy", "MB", 4, null, null],
      ["endpoint changed/switchyard", "ms", 20, 0.2, "kube-proxy"],
      ["endpoint changed/switchyard", "ms CPU", 5, 0.2, "kube-proxy"],
      ["endpoint changed/switchyard", "lines", 2, 0.1, "kube-proxy"],
      ["endpoint changed/switchyard", "MB", 5, 1, "kube-proxy"],
      ["endpoint changed/kube-proxy", "ms", 100, null, null],
      ["endpoint changed/kube-proxy", "ms CPU", 25, null, null],
      ["endpoint changed/kube-proxy", "lines", 20, null, null],
      ["endpoint changed/kube-proxy", "MB", 5, null, null],
      ["endpoint changed/switchyard", "ms", 20, 0.01, "rewriting all rules"],
      ["endpoint changed/switchyard", "lines", 2, 0.02, "rewriting all rules"],
      ["all rules rewritten/iptables-restore", "ms", 1000, null, null],
      ["all rules rewritten/iptables-restore", "lines", 100, null, null],
      ["endpoint changed/switchyard", "ms", 20, 2, "adding one rule"],
      ["floor, one rule added/iptables-restore", "ms", 5, null, null],
    ],
  );
});

Deno.test("without kube-proxy ours stands alone", () => {
  const figures = new SyncFigures("legacy, 3 Services", "iptables-restore");
  figures.add("Service added", "switchyard", reply(0.01, 2));
  figures.add("Service added", "switchyard", reply(0.03, 4));
  assert.deepEqual(figures.rows(), [
    {
      name: "legacy, 3 Services/Service added/switchyard",
      unit: "ms",
      median: 20,
      spread: [10, 30],
    },
    {
      name: "legacy, 3 Services/Service added/switchyard",
      unit: "ms CPU",
      median: 5,
      spread: [2.5, 7.5],
    },
    {
      name: "legacy, 3 Services/Service added/switchyard",
      unit: "lines",
      median: 3,
      spread: [2, 4],
    },
    {
      name: "legacy, 3 Services/Service added/switchyard",
      unit: "MB",
      median: 5,
      spread: [5, 5],
    },
  ]);
});

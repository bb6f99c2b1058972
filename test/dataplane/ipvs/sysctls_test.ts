import assert from "node:assert/strict";
import { ipvsSysctls, setSysctls } from "../../../src/dataplane/ipvs/sysctls.ts";

Deno.test("a port that is used again is not made to wait, by whatever kernel", () => {
  const reuse = (release: string) => ipvsSysctls(release, false).get("net.ipv4.vs.conn_reuse_mode");
  for (const release of ["4.1.0", "4.19.0-26-amd64", "5.4.0-150-generic", "5.8.18"]) {
    assert.equal(reuse(release), 0, release);
  }
  for (const release of ["3.10.0-1160.el7", "4.0.9", "5.9.0", "5.15.0-1.el9", "6.1.176"]) {
    assert.equal(reuse(release), undefined, release);
  }
});

Deno.test("ARP is only changed when asked for", () => {
  const names = (strictARP: boolean) => [...ipvsSysctls("6.1.0", strictARP).keys()];
  assert.ok(!names(false).some((name) => name.includes("arp")));
  const strict = ipvsSysctls("6.1.0", true);
  assert.equal(strict.get("net.ipv4.conf.all.arp_ignore"), 1);
  assert.equal(strict.get("net.ipv4.conf.all.arp_announce"), 2);
});

Deno.test("a parameter that cannot be set is named, with what it has to be", () => {
  assert.throws(
    () => setSysctls(new Map([["net.ipv4.no_such_parameter", 1]])),
    /^Error: net\.ipv4\.no_such_parameter: expected 1, found none, and it cannot be set \(.*ENOENT/,
  );
});

/** Configuration files as kube-proxy itself understands them. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { parseCommandLine } from "../../src/config/config.ts";
import type { Wire } from "../../src/config/file/encode.ts";
import { UsageError } from "../../src/config/usage.ts";
import { KUBE_PROXY, missingKubeProxy } from "../kube_proxy.ts";

const duration = fc.constantFrom("0s", "1s", "90s", "1m30s", "2h45m", "250ms", "1.5s", "-1s");
const boolean = fc.boolean();
const of = fc.constantFrom;

/** Values of fields, good and bad. Left out is what is taken here and not by kube-proxy, on purpose. */
const VALUES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  "clientConnection.kubeconfig": of("", "/a"),
  "clientConnection.contentType": of("", "application/json"),
  "clientConnection.qps": of(0, 2.5, 50, -1),
  "clientConnection.burst": of(0, 7, -1),
  "logging.format": of("", "text", "json"),
  "logging.verbosity": of(0, 9),
  "logging.flushFrequency": of(0, "7s"),
  "hostnameOverride": of("", "node-a"),
  "bindAddress": of("", "0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "bad"),
  "healthzBindAddress": of("", "127.0.0.1:1", "[::]:5", "1.2.3.4", "::1", "a:1", "1.2.3.4:99999"),
  "metricsBindAddress": of("", "127.0.0.1:1", "[::1]:5", "1.2.3.4"),
  "bindAddressHardFail": boolean,
  "enableProfiling": boolean,
  "mode": of("", "iptables", "ipvs", "nftables", "foo"),
  "iptables.masqueradeBit": of(null, 0, 14, 31),
  "iptables.masqueradeAll": boolean,
  "iptables.localhostNodePorts": of(null, true, false),
  "iptables.syncPeriod": duration,
  "iptables.minSyncPeriod": duration,
  "ipvs.syncPeriod": duration,
  "ipvs.minSyncPeriod": duration,
  "ipvs.scheduler": of("", "rr", "wlc"),
  "ipvs.excludeCIDRs": of(null, ["10.0.0.0/8"], ["x"]),
  "ipvs.strictARP": boolean,
  "ipvs.tcpTimeout": duration,
  "ipvs.udpTimeout": duration,
  "nftables.masqueradeBit": of(null, 3),
  "nftables.masqueradeAll": boolean,
  "nftables.syncPeriod": duration,
  "nftables.minSyncPeriod": duration,
  "detectLocalMode": of("", "ClusterCIDR", "BridgeInterface", "InterfaceNamePrefix", "x"),
  "detectLocal.bridgeInterface": of("", "cbr0"),
  "detectLocal.interfaceNamePrefix": of("", "veth"),
  "clusterCIDR": of("", "10.0.0.0/8", "10.0.0.0/8,fd00::/64"),
  "nodePortAddresses": of(null, ["primary"], ["10.0.0.0/8"], ["primary", "10.0.0.0/8"], ["x"]),
  "oomScoreAdj": of(null, 0, -998, 1001),
  "conntrack.maxPerCore": of(null, 0, 5, -1),
  "conntrack.min": of(null, 0, 9),
  "conntrack.tcpEstablishedTimeout": duration,
  "conntrack.tcpCloseWaitTimeout": duration,
  "conntrack.tcpBeLiberal": boolean,
  "conntrack.udpTimeout": duration,
  "configSyncPeriod": duration,
  "winkernel.enableDSR": boolean,
  "entirelyUnknown": of(1),
};

/** Some fields of a configuration. */
const configurations = fc.record(VALUES, { requiredKeys: [] })
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 8 }))
  .map((entries) => {
    const object: Wire = {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
    };
    for (const [path, value] of entries) {
      const [first, second] = path.split(".");
      object[first] = second === undefined ? value : { ...object[first] as Wire, [second]: value };
    }
    return object;
  });

/** What kube-proxy makes of it; null: it refuses. */
async function theirs(file: string): Promise<Wire | null> {
  const { success } = await new Deno.Command(KUBE_PROXY, {
    args: [`--config=${file}`, `--write-config-to=${file}.out`],
    stderr: "null",
  }).output();
  return success ? parse(await Deno.readTextFile(`${file}.out`)) : null;
}

function ours(file: string): Wire | null {
  try {
    return parseCommandLine([`--config=${file}`], "run", () => "node").config.configuration;
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}

/**
 * What is to be compared: kube-proxy puts its own choice for a mode, and forgets what the modes that
 * are not chosen were told.
 */
function comparable(configuration: Wire): Wire {
  const mode = configuration.mode === "" ? "iptables" : configuration.mode as string;
  const { options: _, ...logging } = configuration.logging as Wire;
  const sections = { iptables: null, ipvs: null, nftables: null };
  return {
    ...configuration,
    ...sections,
    mode,
    logging,
    [mode]: configuration[mode],
  };
}

const reason = missingKubeProxy();
const name = "configuration files mean what they mean to kube-proxy, and are refused where it does";

Deno.test({
  name: reason === null ? name : `${name} (skipped: ${reason})`,
  ignore: reason !== null,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const file = `${folder}/config`;
      await fc.assert(
        fc.asyncProperty(configurations, async (configuration) => {
          await Deno.writeTextFile(file, JSON.stringify(configuration));
          const [their, our] = [await theirs(file), ours(file)];
          assert.equal(our === null, their === null, "one of the two refuses it");
          if (our !== null && their !== null) {
            assert.deepEqual(comparable(our), comparable(their));
          }
        }),
        { numRuns: 120 },
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

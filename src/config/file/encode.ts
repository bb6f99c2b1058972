/**
 * The configuration as others read it: as a v1alpha1 file, and as kube-proxy shows its own at
 * /configz.
 *
 * @module
 */

import { stringify } from "yaml";
import type { FlagValues } from "../flag_table.ts";
import { API_VERSION, KIND } from "./decode.ts";
import { type Field, FIELDS } from "./fields.ts";

/** A map of YAML or JSON. */
export type Wire = { [name: string]: unknown };

/**
 * KubeProxyConfiguration v1alpha1 with every field of current releases written out.
 *
 * @param idle fields that have no flag, by path.
 */
export function encodeConfiguration(
  values: FlagValues,
  idle: ReadonlyMap<string, unknown> = new Map(),
): Wire {
  const object: Wire = { apiVersion: API_VERSION, kind: KIND };
  for (const field of FIELDS) {
    const value = wireOf(field, values, idle);
    if (value === null && field.omitEmpty === true) continue;
    const path = field.path.split(".");
    const name = path.pop()!;
    let section = object;
    for (const part of path) section = (section[part] ??= {}) as Wire;
    section[name] = value;
  }
  return object;
}

function wireOf(field: Field, values: FlagValues, idle: ReadonlyMap<string, unknown>): unknown {
  if (field.flag === null) return idle.get(field.path) ?? field.kind.zero;
  const value = values[field.flag];
  return value === undefined ? field.unset ?? field.kind.zero : field.kind.wire(value);
}

/** The text of a configuration file, in the order of names, as kube-proxy writes it. */
export function configurationText(configuration: Wire): string {
  return stringify(configuration, { sortMapEntries: true, lineWidth: 0 });
}

/**
 * What kube-proxy's /configz shows below "kubeproxy.config.k8s.io": its internal form of the
 * configuration (pkg/proxy/apis/config, KubeProxyConfiguration), with Go's names of the fields.
 */
export function internalConfiguration(configuration: Wire): Wire {
  const section = (name: string) => configuration[name] as Wire;
  const { mode, conntrack, clientConnection, clusterCIDR } = configuration;
  const { syncPeriod, minSyncPeriod } = section(
    mode === "ipvs" || mode === "nftables" ? mode : "iptables",
  );
  const { masqueradeBit, localhostNodePorts } = section("iptables");
  const { scheduler, excludeCIDRs, strictARP, tcpTimeout, tcpFinTimeout, udpTimeout } = section(
    "ipvs",
  );
  const { bridgeInterface, interfaceNamePrefix } = section("detectLocal");
  return {
    Linux: {
      Conntrack: goNames(conntrack as Wire),
      MasqueradeAll: section(mode === "nftables" ? mode : "iptables").masqueradeAll,
      OOMScoreAdj: configuration.oomScoreAdj,
    },
    Windows: { RunAsService: configuration.windowsRunAsService ?? false },
    FeatureGates: configuration.featureGates ?? {},
    ClientConnection: goNames(clientConnection as Wire),
    Logging: configuration.logging,
    HostnameOverride: configuration.hostnameOverride,
    BindAddress: configuration.bindAddress,
    HealthzBindAddress: configuration.healthzBindAddress,
    MetricsBindAddress: configuration.metricsBindAddress,
    BindAddressHardFail: configuration.bindAddressHardFail,
    EnableProfiling: configuration.enableProfiling,
    ShowHiddenMetricsForVersion: configuration.showHiddenMetricsForVersion,
    Mode: mode,
    IPTables: goNames({ masqueradeBit, localhostNodePorts }),
    IPVS: goNames({ scheduler, excludeCIDRs, strictARP, tcpTimeout, tcpFinTimeout, udpTimeout }),
    Winkernel: goNames(section("winkernel")),
    NFTables: goNames({ masqueradeBit: section("nftables").masqueradeBit }),
    DetectLocalMode: configuration.detectLocalMode,
    DetectLocal: {
      BridgeInterface: bridgeInterface,
      ClusterCIDRs: clusterCIDR === "" ? null : (clusterCIDR as string).split(","),
      InterfaceNamePrefix: interfaceNamePrefix,
    },
    NodePortAddresses: configuration.nodePortAddresses,
    SyncPeriod: syncPeriod,
    MinSyncPeriod: minSyncPeriod,
    ConfigSyncPeriod: configuration.configSyncPeriod,
  };
}

/** Go's exported names: "tcpTimeout" is TCPTimeout, "qps" is QPS. */
function goNames(section: Wire): Wire {
  return Object.fromEntries(
    Object.entries(section).map(([name, value]) => [
      name.replace(/^(?:tcp|udp|qps)(?![a-z])/, (word) => word.toUpperCase())
        .replace(/^[a-z]/, (letter) => letter.toUpperCase()),
      value,
    ]),
  );
}

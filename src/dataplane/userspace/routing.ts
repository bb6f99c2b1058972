/**
 * The node's routing in userspace mode: what {@link render} asks for, put into the kernel by
 * rtnetlink and read back from it.
 *
 * Policy rules, in the order in which the kernel looks at them:
 *
 * | priority | rule |
 * |---|---|
 * | 80 | from the TUN device: skip what follows, so that the engine's output never returns to it |
 * | 90 | look up {@link SERVICE_TABLE}: a host route to the device for every Service address |
 * | 91 | captured ports of the node's own addresses: {@link CAPTURE_TABLE}, all to the device |
 * | 99 | the local table, which Linux has at 0: it must come after the captures |
 *
 * The routes vanish with the device when this process dies, whatever way; the rules then lead to
 * empty tables and the search goes on as if they were not there.
 *
 * @module
 */

import { readSysctl, writeSysctl } from "../../linux/sysctl.ts";
import type { TunDevice } from "../../linux/tun.ts";
import { FAMILIES, type Family, familyOf } from "../../net/address.ts";
import { TABLE_LOCAL } from "../../netlink/route/names.ts";
import { Rtnetlink } from "../../netlink/route/rtnetlink.ts";
import type { Rule, RuleSpec } from "../../netlink/route/rules.ts";
import type { Difference } from "../dataplane.ts";
import { foundationDifferences, ruleDifferences } from "./foundation.ts";
import { CAPTURE_TABLE, isOwnRule, looksUp, ORIGIN, PRIORITY, SERVICE_TABLE } from "./own.ts";
import { type Capture, captureKey, type Transaction, type UserspaceRules } from "./render.ts";

/** Packets that may wait for the engine; TUN devices drop silently beyond it. */
const QUEUE_LENGTH = 10_000;

/**
 * The device's own address, of no use but to be there: the kernel drops what comes from a device
 * without addresses when it filters by reverse path (__fib_validate_source). Scope host keeps it
 * from becoming anyone's source.
 */
const DEVICE_ADDRESS = "169.254.91.1";

const EVERYWHERE: Readonly<Record<Family, string>> = { IPv4: "0.0.0.0/0", IPv6: "::/0" };

const IP_PROTOCOLS: Readonly<Record<Capture["protocol"], number>> = {
  ICMP: 1,
  TCP: 6,
  UDP: 17,
  SCTP: 132,
};

/** The part of the node's routing that leads to one TUN device. */
export class NodeRouting {
  readonly #net: Rtnetlink;
  readonly #tun: TunDevice;
  /** Those that the node has. */
  readonly families: readonly Family[];

  private constructor(net: Rtnetlink, tun: TunDevice) {
    this.#net = net;
    this.#tun = tun;
    this.families = FAMILIES.filter((family) =>
      family === "IPv4" || readSysctl("net.ipv6.conf.all.disable_ipv6") === "0"
    );
  }

  /**
   * Sets the device up, in this thread's namespace, and lays the rules that don't depend on any plan.
   * Throws NetlinkError or SystemError.
   */
  static open(tun: TunDevice): NodeRouting {
    const routing = new NodeRouting(Rtnetlink.open(), tun);
    routing.renew();
    return routing;
  }

  /** Does so again, whatever others have done to it. Throws NetlinkError or SystemError. */
  renew(): void {
    this.#setUpDevice();
    for (const family of this.families) this.#setUpRules(family);
  }

  /** What others have done to it that stops traffic, in words, or null. Throws NetlinkError. */
  lost(): string | null {
    const { name, index } = this.#tun;
    if (this.#net.links.get(index)?.up !== true) return `link ${name} is down`;
    for (const family of this.families) {
      const [first] = ruleDifferences(this.#net, family);
      if (first !== undefined) return `${first.problem}: ${first.where}`;
    }
    return null;
  }

  /** What others have done to it, all of it. Throws NetlinkError. */
  differences(): Difference[] {
    return foundationDifferences(this.#net, this.families);
  }

  #setUpDevice(): void {
    const { name } = this.#tun;
    const ipv4 = (key: string, value: number) => writeSysctl(`net/ipv4/conf/${name}/${key}`, value);
    // Loose: packets from the engine carry sources whose routes lead elsewhere. It must be 2, not
    // 0, as the kernel takes the larger of this and the value for "all".
    ipv4("rp_filter", 2);
    // Replies from node ports have an address of this node as their source.
    ipv4("accept_local", 1);
    ipv4("send_redirects", 0);
    ipv4("forwarding", 1);
    if (this.families.includes("IPv6")) {
      writeSysctl(`net/ipv6/conf/${name}/addr_gen_mode`, 1);
      writeSysctl(`net/ipv6/conf/${name}/accept_ra`, 0);
    }
    this.#net.addresses.replace({ link: name, address: DEVICE_ADDRESS, scope: "host" });
    this.#net.links.setTxQueueLen(name, QUEUE_LENGTH);
    this.#net.links.setMtu(name, this.#nodeMtu());
    this.#net.links.setUp(name);
    for (const family of this.families) {
      const there = captureRoute(this.#net, family, this.#tun.index) !== undefined;
      if (!there) this.#setCaptureRoute(family, null);
    }
  }

  #setCaptureRoute(family: Family, source: string | null): void {
    this.#net.routes.replace({
      destination: EVERYWHERE[family],
      table: CAPTURE_TABLE,
      link: this.#tun.index,
      origin: ORIGIN,
      preferredSource: source ?? undefined,
    });
  }

  /** The smallest MTU of the node's links, so that what the engine takes in can go on by any. */
  #nodeMtu(): number {
    const mtus = this.#net.links.list()
      .filter((link) => link.up && link.name !== "lo" && link.index !== this.#tun.index)
      .map((link) => link.mtu);
    return mtus.length === 0 ? 1500 : Math.max(1280, Math.min(...mtus));
  }

  #setUpRules(family: Family): void {
    const { rules } = this.#net;
    rules.ensure(localRule(family, PRIORITY.local));
    rules.ensure(this.#fromDeviceRule(family));
    // Rules of devices that earlier runs had.
    for (const rule of rules.list({ family, priority: PRIORITY.fromDevice })) {
      if (isOwnRule(rule) && rule.inputName !== this.#tun.name) rules.remove(rule);
    }
    rules.ensure(servicesRule(family));
    rules.removeAll({ family, priority: 0, action: "lookup", table: TABLE_LOCAL });
  }

  #fromDeviceRule(family: Family): RuleSpec {
    return {
      family,
      priority: PRIORITY.fromDevice,
      action: "goto",
      target: PRIORITY.local,
      inputName: this.#tun.name,
      origin: ORIGIN,
    };
  }

  /** What the node has of the rule set now, from this run or an earlier one. */
  read(): UserspaceRules {
    return readRouting(this.#net, this.#tun.index);
  }

  /**
   * Carries out a transaction. Everything that can be done is done; then the first failure, if any,
   * is thrown. Returns addresses that are preferred as sources and that the node does not have: they
   * are left out of the routes, and nothing will answer to them.
   */
  apply(transaction: Transaction): string[] {
    const { routes, rules } = this.#net;
    const own = this.#ownAddresses();
    const missing = new Set<string>();
    const usable = (source: string | null) => {
      if (source === null || own.has(source)) return source;
      missing.add(source);
      return null;
    };
    const addresses = transaction.addRoutes.filter(([address]) => this.#serves(address))
      .map(([address, source]) => [address, usable(source)] as const);
    const failures: unknown[] = [];
    const attempt = (step: () => unknown) => {
      try {
        step();
      } catch (error) {
        failures.push(error);
      }
    };
    failures.push(...routes.replaceAll(addresses.map(([address, source]) => ({
      destination: address,
      table: SERVICE_TABLE,
      link: this.#tun.index,
      origin: ORIGIN,
      preferredSource: source ?? undefined,
    }))));
    const { captureSource } = transaction;
    if (captureSource !== undefined) {
      attempt(() => this.#setCaptureRoute("IPv4", usable(captureSource)));
    }
    for (const capture of transaction.addCaptures) {
      if (this.#serves(capture.address)) attempt(() => rules.ensure(captureRule(capture)));
    }
    failures.push(...routes.removeAll(
      transaction.removeRoutes.filter((address) => this.#serves(address))
        .map((destination) => ({ destination, table: SERVICE_TABLE, link: this.#tun.index })),
    ));
    for (const capture of transaction.removeCaptures) {
      if (this.#serves(capture.address)) attempt(() => rules.removeAll(captureRule(capture)));
    }
    const failure = failures.find((error) => error !== null);
    if (failure !== undefined) throw failure;
    return [...missing];
  }

  /** Whether the node has one of the addresses. Throws NetlinkError. */
  hasAny(addresses: readonly string[]): boolean {
    const own = this.#ownAddresses();
    return addresses.some((address) => own.has(address));
  }

  #ownAddresses(): ReadonlySet<string> {
    return new Set(this.#net.addresses.list().map(({ address }) => address));
  }

  #serves(address: string): boolean {
    return this.families.includes(familyOf(address));
  }

  /** Takes back everything that {@link open} and {@link apply} did outside the device itself. */
  remove(): void {
    for (const family of this.families) removeRules(this.#net, family);
    this.#net.close();
  }
}

function captureRoute(net: Pick<Rtnetlink, "routes">, family: Family, link?: number) {
  return net.routes.list({ table: CAPTURE_TABLE, family })
    .find((route) => link === undefined || route.link === link);
}

/**
 * What this thread's namespace has of the rule set.
 *
 * @param link index of the device that routes have to lead to; absent: any.
 */
export function readRouting(
  net: Pick<Rtnetlink, "routes" | "rules">,
  link?: number,
): UserspaceRules {
  const routes = net.routes.list({ table: SERVICE_TABLE })
    .filter((route) => link === undefined || route.link === link)
    .map((route) => [hostAddress(route.destination), route.preferredSource] as const);
  const captures = net.rules.list({ priority: PRIORITY.captures })
    .filter(isOwnRule)
    .map(readCapture)
    .filter((capture) => capture !== null)
    .map((capture) => [captureKey(capture), capture] as const);
  return {
    routes: new Map(routes),
    captureSource: captureRoute(net, "IPv4", link)?.preferredSource ?? null,
    captures: new Map(captures),
  };
}

/**
 * Takes the policy rules of this or an earlier run off this thread's namespace, where there are
 * any, and puts the local table's back in its place. Returns how many. Throws NetlinkError.
 */
export function removeRules(net: Rtnetlink, family: Family): number {
  const all = net.rules.list({ family });
  const ours = all.filter(isOwnRule);
  // Other programs move it too.
  const moved = all.some((rule) => looksUp(rule, TABLE_LOCAL) && !isOwnRule(rule));
  if (ours.length > 0 && !moved) net.rules.ensure(localRule(family, 0));
  for (const rule of ours) net.rules.remove(rule);
  return ours.length;
}

function localRule(family: Family, priority: number): RuleSpec {
  return { family, priority, table: TABLE_LOCAL, origin: ORIGIN };
}

function servicesRule(family: Family): RuleSpec {
  return { family, priority: PRIORITY.services, table: SERVICE_TABLE, origin: ORIGIN };
}

function captureRule(capture: Capture): RuleSpec {
  const { address, protocol, firstPort, lastPort } = capture;
  return {
    family: familyOf(address),
    priority: PRIORITY.captures,
    table: CAPTURE_TABLE,
    destination: address,
    ipProtocol: IP_PROTOCOLS[protocol],
    destinationPorts: protocol === "ICMP" ? undefined : { start: firstPort, end: lastPort },
    origin: ORIGIN,
  };
}

function readCapture(rule: Rule): Capture | null {
  const protocol = (Object.keys(IP_PROTOCOLS) as Capture["protocol"][])
    .find((name) => IP_PROTOCOLS[name] === rule.ipProtocol);
  if (protocol === undefined || rule.destination === undefined) return null;
  const { start, end } = rule.destinationPorts ?? { start: 0, end: 0 };
  return { address: hostAddress(rule.destination), protocol, firstPort: start, lastPort: end };
}

function hostAddress(network: string): string {
  return network.slice(0, network.indexOf("/"));
}

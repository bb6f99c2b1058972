/**
 * What a test needs from the machine beyond Deno. A test whose needs are not met is skipped, with
 * the reason in its name.
 *
 * @module
 */

import { NetworkNamespace } from "../src/linux/namespace.ts";
import { openTun } from "../src/linux/tun.ts";
import { close } from "../src/linux/libc.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../src/netlink/socket.ts";
import { Rtnetlink } from "../src/netlink/route/rtnetlink.ts";

/**
 * "root"; "netns": network namespaces can be made; "tun": TUN devices too; "dummy": the kernel has
 * dummy devices; "ip_set": it has ipset, whether or not the program is there; anything else is the
 * name of a program on PATH.
 */
export type Need = "root" | "netns" | "tun" | "dummy" | "ip_set" | (string & Record<never, never>);

const found = new Map<Need, string | null>();

/** Why a test that needs these cannot run here, or null when it can. */
export function missing(...needs: readonly Need[]): string | null {
  for (const need of needs) {
    if (!found.has(need)) found.set(need, probe(need));
    const reason = found.get(need) ?? null;
    if (reason !== null) return reason;
  }
  return null;
}

/**
 * The name and `ignore` of a test with needs:
 * `Deno.test({ ...requires("TUN carries packets", "root", "tun"), fn() { … } })`.
 */
export function requires(
  name: string,
  ...needs: readonly Need[]
): { readonly name: string; readonly ignore: boolean } {
  const reason = missing(...needs);
  return { name: reason === null ? name : `${name} (skipped: ${reason})`, ignore: reason !== null };
}

function probe(need: Need): string | null {
  switch (need) {
    case "root":
      return Deno.uid() === 0 ? null : "needs root";
    case "netns":
      return attempt("network namespaces", () => NetworkNamespace.create().close());
    case "tun":
      return attempt("TUN devices", () =>
        inNewNamespace(() => {
          close(openTun({ name: "probe%d" }).fd);
        }));
    case "dummy":
      return attempt("dummy devices", () =>
        inNewNamespace(() => {
          using net = Rtnetlink.open();
          net.links.createDummy({ name: "probe0" });
        }));
    case "ip_set":
      return attempt("ipset in the kernel", () =>
        inNewNamespace(() => {
          using socket = NetlinkSocket.open(NETLINK_NETFILTER);
          // IPSET_CMD_PROTOCOL: struct nfgenmsg, then IPSET_ATTR_PROTOCOL 6.
          socket.request({
            type: 6 << 8 | 1,
            payload: Uint8Array.fromHex("020000000500010006000000"),
          });
        }));
    default:
      return onPath(need) ? null : `needs the program ${need}`;
  }
}

function attempt(what: string, fn: () => void): string | null {
  try {
    fn();
    return null;
  } catch (error) {
    return `needs ${what}: ${error instanceof Error ? error.message : error}`;
  }
}

function inNewNamespace(fn: () => void): void {
  using namespace = NetworkNamespace.create();
  namespace.run(fn);
}

function onPath(program: string): boolean {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return folders.some((folder) => {
    try {
      return Deno.statSync(`${folder || "."}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

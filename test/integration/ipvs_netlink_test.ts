import { testInMachine, VirtualMachine } from "./vm/machine.ts";

const netlink = (path: string) => new URL(`../netlink/${path}`, import.meta.url);

testInMachine(
  "netlink: IPVS, ipset, connection tracking and links on Debian's kernel",
  await VirtualMachine.prepare(),
  [
    new URL("ipvs_netlink_guest.ts", import.meta.url),
    // This kernel is older than this machine's, and has dummy devices.
    netlink("netfilter/ipset_test.ts"),
    netlink("netfilter/conntrack_test.ts"),
    netlink("route/rtnetlink_test.ts"),
  ],
);

import { missing } from "../../requirements.ts";
import { Unavailable } from "./image.ts";
import { testInMachine, VirtualMachine } from "./machine.ts";

// The machine sees this one's programs.
const reason = missing("iptables-legacy", "ip6tables-legacy", "ipset", "ipvsadm", "ipvsadm-save");

testInMachine(
  "ipvs mode with a network around the node, and with large clusters",
  reason === null ? await VirtualMachine.prepare() : new Unavailable(reason),
  [
    new URL("ipvs_guest.ts", import.meta.url),
    new URL("../../explain/ipvs/kernel_path_guest.ts", import.meta.url),
    new URL("../../explain/ipvs/saved_kernel_guest.ts", import.meta.url),
  ],
  { seconds: 1500, memory: 1024 },
);

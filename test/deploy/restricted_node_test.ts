import { Unavailable } from "../integration/vm/image.ts";
import { testInMachine, VirtualMachine } from "../integration/vm/machine.ts";
import { missing } from "../requirements.ts";

// The machine sees this one's programs.
const reason = missing("iptables-legacy", "ipset", "ipvsadm", "ip", "setpriv", "unshare");

testInMachine(
  "ipvs mode with no more rights than the DaemonSet gives",
  reason === null ? await VirtualMachine.prepare() : new Unavailable(reason),
  [new URL("restricted_node_guest.ts", import.meta.url)],
  { seconds: 1500, memory: 1024 },
);

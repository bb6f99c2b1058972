import { Unavailable } from "../integration/vm/image.ts";
import { testInMachine, VirtualMachine } from "../integration/vm/machine.ts";
import { missing } from "../requirements.ts";

// The machine sees this one's programs.
const reason = missing("iptables-legacy", "ip6tables-legacy");

testInMachine(
  "ipvs: scenarios on Debian's kernel",
  reason === null ? await VirtualMachine.prepare() : new Unavailable(reason),
  [new URL("ipvs_guest.ts", import.meta.url)],
  { seconds: 1500 },
);

import { testInMachine, VirtualMachine } from "../../integration/vm/machine.ts";

testInMachine(
  "ipvs mode on a kernel that has IPVS",
  await VirtualMachine.prepare(),
  [
    new URL("dataplane_guest.ts", import.meta.url),
    new URL("run_guest.ts", import.meta.url),
  ],
  // Half a minute where the machine has nothing else to do.
  { seconds: 1500 },
);

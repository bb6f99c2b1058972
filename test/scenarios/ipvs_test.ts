import { testInMachine, VirtualMachine } from "../integration/vm/machine.ts";

testInMachine(
  "ipvs: scenarios on Debian's kernel",
  await VirtualMachine.prepare(),
  [new URL("ipvs_guest.ts", import.meta.url)],
  { seconds: 600 },
);

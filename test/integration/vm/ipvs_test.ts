import { testInMachine, VirtualMachine } from "./machine.ts";

testInMachine(
  "ipvs mode with a network around the node, and with large clusters",
  await VirtualMachine.prepare(),
  [
    new URL("ipvs_guest.ts", import.meta.url),
    new URL("../../explain/ipvs/kernel_path_guest.ts", import.meta.url),
  ],
  { seconds: 600, memory: 1024 },
);

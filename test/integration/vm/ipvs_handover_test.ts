import { missingKubeProxy } from "../../kube_proxy.ts";
import { missing } from "../../requirements.ts";
import { Unavailable } from "./image.ts";
import { testInMachine, VirtualMachine } from "./machine.ts";

// The machine sees this one's programs.
const reason = missingKubeProxy() ??
  missing("iptables-legacy", "ipset", "ipvsadm", "ipvsadm-save");

testInMachine(
  "kube-proxy hands a node in ipvs mode over and takes it back",
  reason === null ? await VirtualMachine.prepare() : new Unavailable(reason),
  [new URL("ipvs_handover_guest.ts", import.meta.url)],
  { seconds: 1500, memory: 1024 },
);

import { interfaceIndex } from "../../src/linux/libc.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";

/** Moves this worker into the namespace of a path and answers whether it sees the link "mark0". */
self.onmessage = (event: MessageEvent<string>) => {
  using namespace = NetworkNamespace.open(event.data);
  namespace.enter();
  self.postMessage(interfaceIndex("mark0") !== null);
};

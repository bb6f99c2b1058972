/** A worker for the tests of worker_rpc. */

import { serveCalls } from "../../src/rpc/worker_rpc.ts";

const methods = {
  add: (a: number, b: number) => a + b,
  async later(value: string): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return value;
  },
  never: () => new Promise<string>(() => {}),
  map: (value: Map<string, Uint8Array>) => value,
  fail(): never {
    throw new RangeError("too far");
  },
  crash(): void {
    setTimeout(() => {
      throw new Error("out of the blue");
    });
  },
};

export type EchoMethods = typeof methods;

serveCalls(self as unknown as Worker, methods);

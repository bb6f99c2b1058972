/**
 * The thread that holds the lab's network. It lives in the node's namespace, and visits the others.
 *
 * @module
 */

import { serveCalls } from "../rpc/worker_rpc.ts";
import { Fabric, type LabNamespace } from "./fabric.ts";
import type { Client, LabNode, Server } from "./topology.ts";

let fabric: Fabric | null = null;

function running(): Fabric {
  if (fabric === null) throw new Error("the lab's network is not there");
  return fabric;
}

const methods = {
  /** Makes the node and the clients. */
  start(node: LabNode, clients: readonly Client[]): LabNamespace[] {
    fabric = new Fabric(node, clients);
    return fabric.namespaces();
  },

  /** See {@link Fabric.setServers}. */
  async setServers(
    servers: readonly Server[],
  ): Promise<{ problems: string[]; namespaces: LabNamespace[] }> {
    const problems = await running().setServers(servers);
    return { problems, namespaces: running().namespaces() };
  },

  /** Takes everything away. */
  async stop(): Promise<void> {
    await running().close();
    fabric = null;
  },
};

/** What the fabric worker can be asked. */
export type FabricMethods = typeof methods;

serveCalls(self as unknown as Worker, methods);

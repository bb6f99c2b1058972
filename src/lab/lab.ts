/**
 * The lab: a node, pods and clients in network namespaces of this process, with real servers and
 * real requests. The host's network and the calling thread's namespace are never touched.
 *
 * @module
 */

import { connectWorker, type Methods, type Remote } from "../rpc/worker_rpc.ts";
import type { ClientMethods, Transfer } from "./client_worker.ts";
import type { LabNamespace } from "./fabric.ts";
import type { FabricMethods } from "./fabric_worker.ts";
import type { Outcome, ProbeOptions, Target } from "./probe.ts";
import {
  CLIENT,
  type Client,
  DEFAULT_NODE,
  type LabNode,
  NODE,
  resolveName,
  type Server,
  STRANGER,
} from "./topology.ts";

/** What the lab is made of. */
export interface LabOptions {
  /** The node (default {@link DEFAULT_NODE}). */
  readonly node?: LabNode;
  /** Those who only dial (default {@link CLIENT} and {@link STRANGER}). */
  readonly clients?: readonly Client[];
  /** Is told the namespaces at the start and whenever they have changed. */
  changed?(namespaces: readonly LabNamespace[]): void;
}

/** A lab that runs. */
export class Lab {
  readonly #node: LabNode;
  readonly #clients: readonly Client[];
  readonly #changed: (namespaces: readonly LabNamespace[]) => void;
  readonly #fabricWorker: Worker;
  readonly #fabric: Remote<FabricMethods>;
  readonly #dialers = new Map<string, Dialer>();
  #namespaces: readonly LabNamespace[] = [];
  #names: ReadonlyMap<string, string> = new Map();
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(options: LabOptions) {
    this.#node = options.node ?? DEFAULT_NODE;
    this.#clients = options.clients ?? [CLIENT, STRANGER];
    this.#changed = (namespaces) => options.changed?.(namespaces);
    [this.#fabricWorker, this.#fabric] = startWorker<FabricMethods>("./fabric_worker.ts", "lab");
  }

  /** Makes the node and the clients. Rejects, leaving nothing, when the kernel refuses. */
  static async start(options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(options);
    try {
      lab.#namespaces = await lab.#fabric.start(lab.#node, lab.#clients);
    } catch (error) {
      lab.#fabricWorker.terminate();
      throw error;
    }
    try {
      lab.#changed(lab.#namespaces);
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  /** Every namespace that is there now. */
  get namespaces(): readonly LabNamespace[] {
    return this.#namespaces;
  }

  /** The clients, with those of their addresses that the kernel has a family for. */
  get clients(): readonly Client[] {
    return this.#clients.map(({ name }) => this.#namespace(name));
  }

  /** The process's descriptor of the node's namespace. */
  get nodeNamespaceFd(): number {
    return this.#namespace(NODE).fd;
  }

  /** The name that the server at an address answers with. */
  nameAt(address: string): string | undefined {
    return this.#names.get(address);
  }

  /**
   * Brings the pods and other servers to those wanted, leaving those that stay and their connections
   * alone. Resolves with a line for each that cannot be had; the others work. Calls are carried out
   * in order.
   */
  setServers(servers: readonly Server[]): Promise<string[]> {
    const change = this.#changing.then(async () => {
      const { problems, namespaces } = await this.#fabric.setServers(servers);
      const left = new Set(namespaces.map(({ id }) => id));
      for (const { name, id } of this.#namespaces) if (!left.has(id)) this.#dismiss(name);
      this.#namespaces = namespaces;
      this.#names = new Map(
        servers.flatMap(({ addresses, hostname }) =>
          addresses.map((address) => [address, hostname] as const)
        ),
      );
      this.#changed(namespaces);
      return problems;
    });
    this.#changing = change.catch(() => {});
    return change;
  }

  /** Asks a target from a namespace: see {@link probe}. */
  probe(from: string, target: Target, options: ProbeOptions = {}): Promise<Outcome[]> {
    return this.#dial(from, (remote) => remote.probe(target, options));
  }

  /** The text that an HTTP server answers to a GET from a namespace. */
  fetchText(from: string, url: string): Promise<string> {
    return this.#dial(from, (remote) => remote.fetchText(url));
  }

  /** Known bytes from a pod's server ("http://10.0.1.175") over one connection. */
  download(from: string, origin: string, bytes: number): Promise<Transfer> {
    return this.#dial(from, (remote) => remote.download(origin, bytes));
  }

  /** Known bytes to a pod's server over one connection: what the pod received. */
  upload(from: string, origin: string, bytes: number): Promise<Transfer> {
    return this.#dial(from, (remote) => remote.upload(origin, bytes));
  }

  /** Takes everything away. */
  async stop(): Promise<void> {
    for (const name of [...this.#dialers.keys()]) this.#dismiss(name);
    await this.#changing;
    await this.#fabric.stop();
    this.#fabricWorker.terminate();
    this.#namespaces = [];
  }

  #namespace(name: string): LabNamespace {
    const resolved = resolveName(this.#namespaces.map((namespace) => namespace.name), name);
    return this.#namespaces.find((namespace) => namespace.name === resolved)!;
  }

  /**
   * Has the thread that dials from a namespace do something; it is started at the first call. Rejects
   * when the namespace goes meanwhile.
   */
  async #dial<T>(from: string, call: (remote: Remote<ClientMethods>) => Promise<T>): Promise<T> {
    const { name, fd } = this.#namespace(from);
    let dialer = this.#dialers.get(name);
    if (dialer === undefined) {
      const [worker, remote] = startWorker<ClientMethods>("./client_worker.ts", `lab ${name}`);
      const { promise: gone, reject: dismiss } = Promise.withResolvers<never>();
      gone.catch(() => {});
      dialer = { worker, remote, entered: remote.enter(fd), gone, dismiss };
      this.#dialers.set(name, dialer);
    }
    await Promise.race([dialer.entered, dialer.gone]);
    return await Promise.race([call(dialer.remote), dialer.gone]);
  }

  #dismiss(name: string): void {
    const dialer = this.#dialers.get(name);
    if (dialer === undefined) return;
    this.#dialers.delete(name);
    dialer.worker.terminate();
    dialer.dismiss(new Error(`${name} is gone from the lab`));
  }
}

/** A thread that lives in one of the namespaces. */
interface Dialer {
  readonly worker: Worker;
  readonly remote: Remote<ClientMethods>;
  /** Resolves when it is there. */
  readonly entered: Promise<void>;
  /** Rejects when the namespace goes. */
  readonly gone: Promise<never>;
  dismiss(reason: Error): void;
}

function startWorker<M extends Methods>(path: string, name: string): [Worker, Remote<M>] {
  const worker = new Worker(new URL(path, import.meta.url), { type: "module", name });
  return [worker, connectWorker<M>(worker)];
}

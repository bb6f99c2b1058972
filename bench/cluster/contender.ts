/**
 * A proxy that follows an API server, as a process of its own on the lab's node: ours or kube-proxy.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { DEFAULT_NODE } from "../../src/lab/topology.ts";
import type { BenchMode } from "../options.ts";
import { productionFlags } from "../production_flags.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** How to start a proxy. */
export interface Contender {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** Resources that a process has used. */
export interface Usage {
  /** Resident memory, MiB. */
  readonly resident: number;
  /** The most there ever was, MiB. */
  readonly peak: number;
  /** Seconds of processor time, programs that it ran included. */
  readonly cpu: number;
}

/** Flags that all contenders share; the ports of health and metrics are not served. */
function flags(kubeconfig: string, mode: BenchMode): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${DEFAULT_NODE.name}`,
    `--proxy-mode=${mode}`,
    "--cluster-cidr=10.128.0.0/9",
  ];
}

/** This repository's. */
export function switchyard(kubeconfig: string, mode: BenchMode): Contender {
  return {
    name: "switchyard",
    command: Deno.execPath(),
    args: [
      ...["run", ...productionFlags(), "--no-check", "--allow-all", MAIN, "run"],
      ...flags(kubeconfig, mode),
      ...DEFAULT_NODE.addresses.map((address) => `--node-ip=${address}`),
      ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
    ],
  };
}

/** kube-proxy itself, when KUBEBUILDER_ASSETS has it; null when not. */
export function kubeProxy(kubeconfig: string, mode: BenchMode): Contender | null {
  const command = `${Deno.env.get("KUBEBUILDER_ASSETS")}/kube-proxy`;
  try {
    Deno.statSync(command);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return {
    name: "kube-proxy",
    command,
    args: [
      ...flags(kubeconfig, mode),
      "--healthz-bind-address=127.0.0.1:10256",
      "--conntrack-max-per-core=0",
      "--conntrack-tcp-timeout-established=0s",
      "--conntrack-tcp-timeout-close-wait=0s",
    ],
  };
}

/** A contender that runs. */
export class RunningContender implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  /** @param path the only folder where it finds programs; null: where everyone does. */
  constructor({ command, args }: Contender, path: string | null) {
    this.#child = new Deno.Command(command, {
      args: [...args],
      env: {
        NO_COLOR: "1",
        ...(path === null ? {} : { PATH: path }),
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  usage(): Usage {
    const status = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
    const stat = Deno.readTextFileSync(`/proc/${this.#child.pid}/stat`);
    // After the name in parentheses: state is field 3; utime, stime, cutime and cstime are 14 to 17.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = [14, 15, 16, 17].reduce((sum, field) => sum + Number(fields[field - 3]), 0);
    const mebibytes = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]) / 1024;
    return { resident: mebibytes("VmRSS"), peak: mebibytes("VmHWM"), cpu: ticks / 100 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

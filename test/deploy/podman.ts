/** The image, made by podman as deploy/README.md says, and containers of it as the kubelet makes them. */

import { fileURLToPath } from "node:url";
import { type ContainerOptions, RunningContainer } from "./container.ts";
import { DEPLOY, PROJECT } from "./manifests.ts";

const BASE_IMAGES = fileURLToPath(new URL("base_images.sh", import.meta.url));
const TAG = "localhost/switchyard-test";

/** What podman is called with, before the command: `PODMAN="podman --runtime runc"`. */
const [program, ...options] = (Deno.env.get("PODMAN") ?? "podman").split(" ");

/** Rights that a container needs not have more of, but may not have: containers get podman's defaults. */
const LIMITS = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"];

/**
 * Builds the image. With `BASE_IMAGES=make`, what it is built on is made from packages first, for where
 * no registry of images can be reached.
 */
export async function buildImage(): Promise<PodmanImage> {
  if (Deno.env.get("BASE_IMAGES") === "make") {
    await run("sh", ["-eu", BASE_IMAGES, program, ...options]);
  }
  await run(program, [
    ...[...options, "build", "--isolation=chroot", "--network=host", "--tag", TAG],
    ...["--file", `${DEPLOY}/Containerfile`, PROJECT],
  ]);
  return new PodmanImage();
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = new Deno.Command(program, { args: [...args], stdin: "null" }).spawn();
  const { success } = await child.status;
  if (!success) throw new Error(`${program} ${args.join(" ")} failed`);
}

/** What may be set beyond the DaemonSet. */
export interface PodmanOptions extends ContainerOptions {
  /** In place of the image's entry point. */
  readonly command?: string;
  /** The root is writable, as for a container that nobody says otherwise of. */
  readonly writable?: boolean;
}

/** An image that podman has. */
export class PodmanImage {
  #containers = 0;
  /** As the kubelet mounts them: a file of the node, and a folder that may be empty. */
  readonly #lock = Deno.makeTempFileSync();
  readonly #modules = Deno.makeTempDirSync();

  start(container: PodmanOptions): RunningContainer {
    const name = `switchyard-test-${Deno.pid}-${this.#containers++}`;
    const { args, capabilities, command, mounts, namespace, writable = false } = container;
    const volumes = [
      ...Object.entries(mounts).map(([there, here]) => `${here}:${there}:ro`),
      `${this.#lock}:/run/xtables.lock`,
      `${this.#modules}:/lib/modules:ro`,
    ];
    const rights = capabilities === null ? ["--privileged"] : [
      ...["--cap-drop=ALL", "--security-opt=no-new-privileges"],
      ...capabilities.map((capability) => `--cap-add=${capability}`),
    ];
    return RunningContainer.spawn(program, [
      ...[...options, "run", "--rm", `--name=${name}`, "--log-driver=none", ...LIMITS, ...rights],
      `--network=ns:/proc/${Deno.pid}/fd/${namespace.fd}`,
      ...(writable ? [] : ["--read-only", "--read-only-tmpfs=false"]),
      ...volumes.map((volume) => `--volume=${volume}`),
      ...(command === undefined ? [] : [`--entrypoint=${command}`]),
      ...[TAG, ...args],
    ], { pidOf: () => pidOf(name) });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#lock);
    Deno.removeSync(this.#modules);
  }
}

function pidOf(name: string): number {
  const args = [...options, "inspect", "--format={{.State.Pid}}", name];
  const { stdout } = new Deno.Command(program, { args }).outputSync();
  return Number(new TextDecoder().decode(stdout));
}

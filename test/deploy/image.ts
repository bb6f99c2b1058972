/**
 * The image, without a registry: its file system is made as deploy/Containerfile says, from this
 * machine's programs in place of the base image, and its entry point runs in a container of namespaces
 * with a read-only root and the capabilities of the DaemonSet.
 */

import { dirname } from "node:path";
import { type ContainerOptions, readProc, RunningContainer } from "./container.ts";
import { DEPLOY, PROJECT } from "./manifests.ts";

/** One instruction of a Containerfile. */
interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** The instructions after a stage begins, up to the next stage. */
function stage(file: string, begin: RegExp): Instruction[] {
  const lines = file.replaceAll(/\\\n\s*/g, "").split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const first = lines.findIndex((line) => begin.test(line));
  const after = lines.slice(first + 1);
  const next = after.findIndex((line) => line.startsWith("FROM "));
  return (next < 0 ? after : after.slice(0, next)).map((line) => {
    const [name, ...rest] = line.split(" ");
    return { name, rest: rest.join(" ") };
  });
}

/** A folder with the files of the image, removed in the end. */
export class Image implements AsyncDisposable {
  readonly folder: string;
  /** What the image sets for its program. */
  readonly environment: Readonly<Record<string, string>>;
  readonly entryPoint: readonly string[];

  private constructor(
    folder: string,
    environment: Readonly<Record<string, string>>,
    entryPoint: readonly string[],
  ) {
    this.folder = folder;
    this.environment = environment;
    this.entryPoint = entryPoint;
  }

  static async build(): Promise<Image> {
    const folder = await Deno.makeTempDir({ prefix: "switchyard-image-" });
    try {
      const file = await Deno.readTextFile(`${DEPLOY}/Containerfile`);
      await buildStage(folder, stage(file, / AS build$/));
      const last = stage(file, /^FROM \$\{BASE_IMAGE\}$/);
      await copyProgram(folder, last);
      return new Image(folder, environmentOf(last), entryPointOf(last));
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  /** Runs the entry point in namespaces of its own. */
  start(options: ContainerOptions): RunningContainer {
    const script = containerScript(this, options);
    return RunningContainer.spawn("unshare", [
      ...["--mount", "--pid", "--fork", "--kill-child", "--"],
      ...["sh", "-euc", script, "sh", ...this.entryPoint, ...options.args],
    ], {
      namespace: options.namespace,
      pidOf: (pid) => Number(readProc(`${pid}/task/${pid}/children`).trim()),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Takes packages from this machine's cache, where they are, instead of downloading them again. */
async function buildStage(folder: string, instructions: readonly Instruction[]): Promise<void> {
  const within = instructions.find(({ name }) => name === "WORKDIR")!.rest;
  const workdir = folder + within;
  const { DENO_DIR } = environmentOf(instructions);
  await Deno.mkdir(workdir, { recursive: true });
  await Deno.mkdir(folder + DENO_DIR, { recursive: true });
  const info = await run("deno", ["info", "--json"], PROJECT);
  const cache = `${JSON.parse(info).denoDir}/npm ${folder}${DENO_DIR}`;
  // Linked where that can be.
  await run("sh", ["-c", `cp -al ${cache} 2>/dev/null || cp -a ${cache}`], PROJECT);
  for (const { name, rest } of instructions) {
    if (name === "COPY") {
      await run("sh", ["-c", `cp -r ${rest.replace(/ \S+$/, "")} ${workdir}/`], PROJECT);
    }
    if (name === "RUN" && rest.includes("deno cache")) {
      const command = rest.replaceAll(/ \/(?=\w)/g, ` ${folder}/`);
      await run("sh", ["-c", command], workdir, { DENO_DIR: folder + DENO_DIR });
    }
  }
}

/** The program of the image beside Deno; both have a folder of their own there. */
async function copyProgram(folder: string, instructions: readonly Instruction[]): Promise<void> {
  for (const { name, rest } of instructions) {
    if (name !== "COPY") continue;
    const [from, to] = rest.split(" ").slice(-2);
    const target = folder + to;
    await Deno.mkdir(dirname(target), { recursive: true });
    if (from.endsWith("/deno")) await Deno.copyFile(Deno.execPath(), target);
    else if (!rest.startsWith("--from=")) await Deno.copyFile(`${PROJECT}/${from}`, target);
  }
}

function environmentOf(instructions: readonly Instruction[]): Record<string, string> {
  const pairs = instructions.filter(({ name }) => name === "ENV")
    .flatMap(({ rest }) => rest.split(" "));
  return Object.fromEntries(pairs.map((pair) => pair.split("=")));
}

function entryPointOf(instructions: readonly Instruction[]): string[] {
  return JSON.parse(instructions.find(({ name }) => name === "ENTRYPOINT")!.rest);
}

async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/**
 * Makes the container's root in a file system of memory, with this machine's programs, makes it
 * read-only, and becomes the image's program in it.
 */
function containerScript(image: Image, { mounts, capabilities }: ContainerOptions): string {
  const root = "/tmp";
  const readOnly = (from: string, to: string) =>
    `mkdir -p "$(dirname ${root}${to})"; if [ -d ${from} ]; then mkdir -p ${root}${to}; ` +
    `else touch ${root}${to}; fi; mount --bind ${from} ${root}${to}; ` +
    `mount -o remount,ro,bind ${root}${to}`;
  const environment = {
    PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ...image.environment,
  };
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const privileged = capabilities === null;
  const bounding = privileged
    ? ""
    : `setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,${
      capabilities.map((name) => `+${name.toLowerCase()}`).join(",")
    } `;
  return [
    "mount --make-rprivate /",
    // What is bound from below /tmp is opened before something is mounted over it.
    `exec 3< ${image.folder}`,
    ...Object.values(mounts).map((from, i) => `exec ${i + 4}< ${from}`),
    `mount -t tmpfs none ${root}`,
    ...["/usr", "/etc"].map((path) => readOnly(path, path)),
    ...["bin", "sbin", "lib", "lib64"].map((name) =>
      `[ ! -e /${name} ] || ln -s usr/${name} ${root}/${name}`
    ),
    readOnly("/proc/self/fd/3/opt", "/opt"),
    readOnly("/proc/self/fd/3/usr/local/bin", "/usr/local/bin"),
    ...Object.keys(mounts).map((to, i) => readOnly(`/proc/self/fd/${i + 4}`, to)),
    `mkdir ${root}/proc ${root}/sys ${root}/dev ${root}/tmp; mkdir -p ${root}/run`,
    `mount -t proc proc ${root}/proc`,
    ...(privileged ? [] : [
      `mount --bind ${root}/proc/sys ${root}/proc/sys; mount -o remount,ro,bind ${root}/proc/sys`,
    ]),
    `mount -t sysfs -o ro sysfs ${root}/sys; mount --bind /dev ${root}/dev`,
    `touch ${root}/run/xtables.lock; mkdir -p ${root}/run/lock; mount -t tmpfs none ${root}/run/lock`,
    `touch ${root}/run/lock/x; mount --bind ${root}/run/lock/x ${root}/run/xtables.lock`,
    `mount -o remount,ro ${root}`,
    `exec chroot ${root} env -i ${variables.join(" ")} ${bounding}"$@"`,
  ].join("\n");
}

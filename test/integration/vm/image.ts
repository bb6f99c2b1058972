/**
 * What the virtual machine boots from: Debian's user-mode-linux kernel, which runs as an ordinary
 * process and has IPVS, and an initramfs around Debian's static busybox. Both packages are
 * downloaded once and unpacked into a cache folder; nothing is installed.
 *
 * @module
 */

import { replaceFile } from "../../../src/replace_file.ts";
import { archive, type ArchiveEntry } from "./cpio.ts";

/** A bootable kernel. Paths of the host. */
export interface Image {
  readonly kernel: string;
  readonly initramfs: string;
  /** The folder with modules.dep. */
  readonly modules: string;
}

/** Why there is no image here. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

const PACKAGES = ["user-mode-linux", "busybox-static"] as const;

/** The image, made if need be. Throws {@link Unavailable} when this machine can't have one. */
export async function prepareImage(): Promise<Image> {
  requireHost();
  const cache = cacheFolder();
  await Deno.mkdir(cache, { recursive: true });
  // Of several test runs at once, one downloads and the others wait.
  using lock = await Deno.open(`${cache}/lock`, { create: true, write: true });
  await lock.lock(true);
  for (const name of PACKAGES) await unpackPackage(name, `${cache}/${name}`);
  const versions = `${cache}/user-mode-linux/usr/lib/uml/modules`;
  const [version] = Array.from(Deno.readDirSync(versions), ({ name }) => name);
  const initramfs = `${cache}/initramfs.cpio`;
  replaceFile(
    initramfs,
    await buildInitramfs(version, `${cache}/busybox-static/bin/busybox`),
  );
  return {
    kernel: `${cache}/user-mode-linux/usr/bin/linux.uml`,
    initramfs,
    modules: `${versions}/${version}`,
  };
}

function requireHost(): void {
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") throw new Unavailable(`needs Linux on x86_64`);
  if (Deno.uid() !== 0) throw new Unavailable("needs root");
  for (const program of ["apt-get", "dpkg-deb", "unshare"]) {
    if (!onPath(program)) throw new Unavailable(`needs the program ${program}`);
  }
}

function onPath(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder || "."}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

function cacheFolder(): string {
  const caches = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  const folder = `${caches}/switchyard/vm`;
  // It becomes a word of the kernel's command line.
  if (/\s/.test(folder)) {
    throw new Unavailable(`needs a cache folder without blanks, not ${folder}`);
  }
  return folder;
}

async function unpackPackage(name: string, folder: string): Promise<void> {
  if (exists(folder)) return;
  const work = await Deno.makeTempDir({ dir: folder.slice(0, folder.lastIndexOf("/")) });
  try {
    const download = ["apt-get", "download", "-qq", name];
    if (await run(download, work) !== null) {
      // A fresh machine has no lists of packages.
      const update = await run(["apt-get", "update", "-qq"], work);
      const problem = update ?? await run(download, work);
      if (problem !== null) throw new Unavailable(`needs the package ${name}: ${problem}`);
    }
    const [file] = Array.from(Deno.readDirSync(work), (entry) => entry.name);
    const problem = await run(["dpkg-deb", "-x", file, "unpacked"], work);
    if (problem !== null) throw new Unavailable(`cannot unpack ${file}: ${problem}`);
    await Deno.rename(`${work}/unpacked`, folder);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Runs a program; what went wrong, or null. */
async function run(command: readonly string[], folder: string): Promise<string | null> {
  const [program, ...args] = command;
  const { success, stderr } = await new Deno.Command(program, {
    args,
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(120_000),
  }).output();
  if (success) return null;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  return `${command.join(" ")}: ${lines.find((line) => line.startsWith("E:")) ?? lines[0]}`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function buildInitramfs(version: string, busybox: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = (path: string): ArchiveEntry => ({ path, kind: "folder" });
  const program = async (path: string, from: string | URL): Promise<ArchiveEntry> => ({
    path,
    kind: "program",
    content: await Deno.readFile(from),
  });
  return archive([
    ...["bin", "sbin", "proc", "sys", "dev", "lower", "memory", "root", "lib", "lib/modules"]
      .map(folder),
    folder(`lib/modules/${version}`),
    await program("bin/busybox", busybox),
    { path: "bin/sh", kind: "link", target: "busybox" },
    await program("sbin/modprobe", new URL("modprobe.sh", import.meta.url)),
    { path: "dev/console", kind: "character device", major: 5, minor: 1 },
    await program("init", new URL("init.sh", import.meta.url)),
  ]);
}

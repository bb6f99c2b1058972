/**
 * Runs modules of tests inside a throw-away virtual machine, whose kernel has IPVS.
 *
 * The machine sees this machine's files, so the same Deno and the same checkout, but read-only
 * below a layer in memory; it is root, has one processor and no network but `lo`. It starts in about
 * two seconds and is gone at the end, also when that is a failure or the time limit.
 *
 * @module
 */

import type { GuestReport } from "./guest.ts";
import { type Image, prepareImage, Unavailable } from "./image.ts";

/** Bounds of one run. */
export interface Limits {
  /** From the start of the machine to its end (default: 600, for busy machines). */
  readonly seconds?: number;
  /** Memory of the machine in MiB, files that it writes included (default: 512). */
  readonly memory?: number;
}

/** A machine that can be started as often as needed. */
export class VirtualMachine {
  private constructor(private readonly image: Image) {}

  /** Prepares one, or says why there is none here. The first time takes a download. */
  static async prepare(): Promise<VirtualMachine | Unavailable> {
    try {
      return new VirtualMachine(await prepareImage());
    } catch (error) {
      if (error instanceof Unavailable) return error;
      throw error;
    }
  }

  /**
   * Starts the machine, runs the tests that these modules export there, in one Deno process, and
   * returns the results (see guest.ts). Throws with what the machine printed when it does not get that far.
   */
  async run(modules: readonly URL[], limits: Limits = {}): Promise<GuestReport> {
    const { seconds = 600, memory = 512 } = limits;
    const work = await Deno.makeTempDir({ prefix: `switchyard-vm.${Deno.pid}.` });
    try {
      const out = `${work}/out`;
      await Deno.mkdir(out);
      await Deno.writeTextFile(`${out}/command`, command(modules));
      const child = new Deno.Command("unshare", {
        // Nothing of this machine's network can be reached, and no helper process outlives it.
        args: [
          ...["--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
          this.image.kernel,
          ...kernelParameters(this.image, work, out, seconds, memory),
        ],
        // Without others' variables the kernel keeps the machine's memory in /dev/shm where it can.
        clearEnv: true,
        env: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin" },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        child.kill("SIGKILL");
      }, seconds * 1000);
      const { stdout, stderr } = await child.output().finally(() => clearTimeout(timer));
      const report = await readReport(out);
      if (report !== null) return report;
      const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
      throw new Error(
        (late
          ? `the virtual machine did not end within ${seconds} s`
          : "the virtual machine ended without results") + `; it printed:\n${said.join("\n")}`,
      );
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  }
}

/** Registers one test that runs the modules in a machine, with a step for each guest test. */
export function testInMachine(
  name: string,
  machine: VirtualMachine | Unavailable,
  modules: readonly URL[],
  limits?: Limits,
): void {
  const missing = machine instanceof VirtualMachine ? null : machine.message;
  Deno.test({
    name: missing === null ? name : `${name} (skipped: ${missing})`,
    ignore: missing !== null,
    async fn(t) {
      const { results } = await (machine as VirtualMachine).run(modules, limits);
      for (const { name, error, ignored } of results) {
        await t.step({
          name,
          ignore: ignored,
          fn() {
            if (error !== null) throw new Error(error);
          },
        });
      }
    },
  });
}

function kernelParameters(
  image: Image,
  work: string,
  out: string,
  seconds: number,
  memory: number,
): string[] {
  return [
    `mem=${memory}M`,
    `initrd=${image.initramfs}`,
    ...["con=null", "con0=null,fd:1", "ssl=null", `uml_dir=${work}`, "umid=machine"],
    ...["quiet", "loglevel=3", "panic=-1", "random.trust_cpu=on", "rcupdate.rcu_expedited=1"],
    `vm.modules=${image.modules}`,
    `vm.out=${out}`,
    `vm.limit=${seconds}`,
  ];
}

/** The shell script that the machine runs. */
function command(modules: readonly URL[]): string {
  const project = new URL("../../../", import.meta.url).pathname;
  const guest = new URL("guest.ts", import.meta.url).pathname;
  const environment = {
    PATH: Deno.env.get("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: Deno.env.get("HOME") ?? "/root",
    NO_COLOR: "1",
    ...pick("DENO_DIR", "XDG_CACHE_HOME", "KUBEBUILDER_ASSETS"),
  };
  const permissions = ["read", "write", "net", "ffi", "env", "sys", "run"];
  const words = [
    ...[Deno.execPath(), "run", "--no-check", "--cached-only"],
    ...permissions.map((permission) => `--allow-${permission}`),
    ...[guest, "/run/vm/report.json"],
    ...modules.map((module) => module.href),
  ];
  return [
    `cd ${quote(project)}`,
    ...Object.entries(environment).map(([name, value]) => `export ${name}=${quote(value)}`),
    `exec ${words.map(quote).join(" ")}`,
    "",
  ].join("\n");
}

function pick(...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value !== undefined),
  );
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

async function readReport(out: string): Promise<GuestReport | null> {
  try {
    return JSON.parse(await Deno.readTextFile(`${out}/report.json`)) as GuestReport;
  } catch (error) {
    // Half a report is none: the machine was stopped while it wrote.
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * Builds etcd, kube-apiserver, kubectl and kube-proxy into a folder, which KUBEBUILDER_ASSETS is then to
 * name, from their Go modules, in modules that are thrown away. What is there already stays.
 *
 *     deno task assets FOLDER
 *
 * @module
 */

import { complainLines } from "../../../src/commands/io.ts";
import { moduleFile } from "../../../bench/kube_proxy/build.ts";

/** One whose own modules are all published. */
const KUBERNETES_VERSION = "1.33.4";
const ETCD_VERSION = "3.5.21";

/** A module that only depends on others, and what it builds. */
interface Build {
  /** The go.mod, made when it is needed. */
  readonly module: () => Promise<string>;
  /** Programs by the packages that they are built from. */
  readonly programs: Readonly<Record<string, string>>;
}

const BUILDS: readonly Build[] = [
  {
    module: async () => {
      const name = `k8s.io/kubernetes@v${KUBERNETES_VERSION}`;
      const { GoMod } = JSON.parse(await go(".", "mod", "download", "-json", name));
      return moduleFile(await Deno.readTextFile(GoMod), KUBERNETES_VERSION);
    },
    programs: {
      "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
      "kubectl": "k8s.io/kubernetes/cmd/kubectl",
      "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    },
  },
  {
    module: () =>
      Promise.resolve([
        "module throwaway",
        "go 1.23.0",
        `require go.etcd.io/etcd/server/v3 v${ETCD_VERSION}`,
        "",
      ].join("\n")),
    programs: { "etcd": "go.etcd.io/etcd/server/v3" },
  },
];

async function main([folder, ...rest]: readonly string[]): Promise<number> {
  if (folder === undefined || rest.length > 0) {
    complainLines("usage: assets FOLDER");
    return 2;
  }
  await Deno.mkdir(folder, { recursive: true });
  const target = await Deno.realPath(folder);
  for (const { module, programs } of BUILDS) {
    const missing = Object.keys(programs).filter((name) => !isFile(`${target}/${name}`));
    if (missing.length === 0) continue;
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/go.mod`, await module());
      for (const name of missing) {
        complainLines(`building ${name}`);
        await go(directory, "build", "-o", `${target}/${name}.new`, programs[name]);
        await Deno.rename(`${target}/${name}.new`, `${target}/${name}`);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
  return 0;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Runs go; its output. */
async function go(directory: string, ...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("go", {
    args: [...args],
    cwd: directory,
    // Sums are added to the module as it goes, and no newer toolchain is fetched.
    env: { GOFLAGS: "-mod=mod", GOTOOLCHAIN: "local", GOWORK: "off" },
    stdin: "null",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  const text = new TextDecoder().decode(stderr).trimEnd();
  throw new Error(`go ${args.join(" ")}: ${text.split("\n").slice(-5).join("\n")}`);
}

if (import.meta.main) Deno.exit(await main(Deno.args));

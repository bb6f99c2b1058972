/**
 * Builds the comparator out of kube-proxy's own packages, in a Go module that is thrown away.
 *
 * @module
 */

/** The kube-proxy that is compared with. */
export const KUBERNETES_VERSION = "1.33.5";

const SOURCES = ["main.go", "proxiers.go"];

/** Why there is nothing to compare with, in one line. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

/** Builds it in an empty directory and returns the program's path. Throws {@link Unavailable}. */
export async function buildKubeProxy(directory: string): Promise<string> {
  await go(directory, "version");
  const kubernetes = `k8s.io/kubernetes@v${KUBERNETES_VERSION}`;
  const { GoMod } = JSON.parse(await go(directory, "mod", "download", "-json", kubernetes));
  await Deno.writeTextFile(`${directory}/go.mod`, moduleFile(await Deno.readTextFile(GoMod)));
  for (const file of SOURCES) {
    await Deno.copyFile(new URL(file, import.meta.url), `${directory}/${file}`);
  }
  await go(directory, "mod", "tidy");
  await go(directory, "build", "-o", "kube-proxy", ".");
  return `${directory}/kube-proxy`;
}

/**
 * The go.mod of a module that uses Kubernetes as a library: its own modules, which it takes from its
 * source tree, have to be replaced by those that are published beside it, as 0.33.5 for 1.33.5.
 */
export function moduleFile(kubernetes: string, version = KUBERNETES_VERSION): string {
  const go = /^go \S+$/m.exec(kubernetes);
  const staging = [...kubernetes.matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging\//gm)];
  if (go === null || staging.length === 0) {
    throw new Unavailable(`go.mod of Kubernetes ${version} is not as expected`);
  }
  return [
    "module comparator",
    go[0],
    `require k8s.io/kubernetes v${version}`,
    ...staging.map(([, name]) => `replace ${name} => ${name} v${version.replace(/^1/, "0")}`),
    "",
  ].join("\n");
}

async function go(directory: string, ...args: string[]): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("go", {
      args,
      cwd: directory,
      // A newer toolchain is not fetched for this.
      env: { GOTOOLCHAIN: "local", GOWORK: "off" },
      stdin: "null",
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Unavailable("Go is not installed");
    throw error;
  }
  const decoder = new TextDecoder();
  if (!output.success) {
    const reason = decoder.decode(output.stderr).trim().split("\n").at(-1);
    throw new Unavailable(`go ${args.join(" ")}: ${reason}`);
  }
  return decoder.decode(output.stdout);
}

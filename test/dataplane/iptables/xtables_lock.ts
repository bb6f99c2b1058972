/**
 * The lock that programs of legacy iptables take, all of the machine or all of these tests.
 *
 * @module
 */

import type { NetworkNamespace } from "../../../src/linux/namespace.ts";

/** Holds it, as a program in a network namespace, until the returned function is called. */
export async function holdXtablesLock(namespace: NetworkNamespace): Promise<() => Promise<void>> {
  const file = Deno.env.get("XTABLES_LOCKFILE") ?? "/run/xtables.lock";
  const holder = namespace.run(() =>
    new Deno.Command("flock", {
      args: [file, "sh", "-c", "echo held; exec cat"],
      stdin: "piped",
      stdout: "piped",
    }).spawn()
  );
  const said = holder.stdout.getReader();
  await said.read();
  return async () => {
    await holder.stdin.close();
    await holder.status;
    await said.cancel();
  };
}

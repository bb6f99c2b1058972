/**
 * Whether the lab may have network namespaces and a TUN device, and how to come by them without
 * being root: the program starts itself again inside a user namespace, where it is root over
 * nothing but the namespaces it makes itself. Source: user_namespaces(7).
 *
 * @module
 */

import { close, cString, describeErrno, lastErrno, O_RDWR, open } from "../linux/libc.ts";
import { ownArguments, ownCapabilities } from "../linux/process.ts";
import { STATE_VARIABLE, statePath } from "./state.ts";
import { messageOf } from "../errors.ts";

/** Environment variable that marks the program as started again. */
const AGAIN_VARIABLE = "SWITCHYARD_LAB_USER_NAMESPACE";

/** What this process may do. */
export type Privileges =
  | { readonly namespaces: true; readonly userNamespace: boolean }
  /** No lab; `reason` is one line. */
  | { readonly namespaces: false; readonly reason: string };

/**
 * Tries what the lab needs, and starts the program again inside a user namespace when that is what
 * it takes: then it does not return, as the process becomes that program, with the same id, terminal
 * and arguments. Call it before anything else is started.
 */
export function obtainPrivileges(): Privileges {
  const again = Deno.env.get(AGAIN_VARIABLE) === "1";
  const tun = attempt(() => close(open("/dev/net/tun", O_RDWR)));
  if (tun !== null) return { namespaces: false, reason: tun };
  // Not tried: a thread of a user namespace that leaves the host's network cannot come back to it.
  const lacking = NEEDED.filter(({ bit }) => (ownCapabilities() >> bit & 1n) === 0n);
  if (lacking.length === 0) return { namespaces: true, userNamespace: again };
  const lacks = `no ${lacking.map(({ name }) => name).join(" and no ")}`;
  const refused = again ? "not even in a user namespace" : tryUserNamespace();
  if (refused !== null) return { namespaces: false, reason: `${lacks}; ${refused}` };
  const state = statePath();
  Deno.env.set(AGAIN_VARIABLE, "1");
  Deno.env.set(STATE_VARIABLE, state);
  const [, ...args] = ownArguments();
  return { namespaces: false, reason: become([...UNSHARE, "--", Deno.execPath(), ...args]) };
}

/** What making and configuring network namespaces takes: linux/capability.h. */
const NEEDED = [
  { name: "CAP_NET_ADMIN", bit: 12n },
  { name: "CAP_SYS_ADMIN", bit: 21n },
];

/** null when it works, else the error's message. */
function attempt(fn: () => void): string | null {
  try {
    fn();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** unshare(1): a process with several threads, as Deno's is, cannot enter a user namespace itself. */
const UNSHARE = ["unshare", "--user", "--map-root-user"] as const;

/** null when a user namespace with network namespaces in it can be had, else why not. */
function tryUserNamespace(): string | null {
  const [program, ...args] = UNSHARE;
  try {
    const { success, stderr } = new Deno.Command(program, {
      args: [...args, "--net", "--", "true"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).outputSync();
    if (success) return null;
    const [line] = new TextDecoder().decode(stderr).split("\n", 1);
    return `in a user namespace: ${line}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "unshare (util-linux) is not installed";
    throw error;
  }
}

/** Becomes another program, execvp(3), or returns why it could not. */
function become(argv: readonly string[]): string {
  const library = Deno.dlopen("libc.so.6", {
    execvp: { parameters: ["buffer", "buffer"], result: "i32" },
  });
  const strings = argv.map(cString);
  const pointers = new BigUint64Array(argv.length + 1);
  strings.forEach((text, i) => {
    pointers[i] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(text));
  });
  library.symbols.execvp(strings[0], pointers);
  return `start ${argv[0]}: ${describeErrno(lastErrno())}`;
}

/**
 * Records what the kernel's IPVS picks under every scheduler that is not random, into
 * test/fixtures/ipvs/:
 *
 *     deno run --allow-all test/integration/vm/recorder.ts [CASE…]
 *
 * @module
 */

import { encodeRecording, type Recording } from "../../fixtures/ipvs/recording.ts";
import { VirtualMachine } from "./machine.ts";

const FOLDER = new URL("../../fixtures/ipvs/", import.meta.url);
/** The module that records these cases inside the machine; none: all. */
export function recorderModule(names: readonly string[]): URL {
  const module = new URL("recorder_guest.ts", import.meta.url);
  for (const name of names) module.searchParams.append("case", name);
  return module;
}

async function main(names: readonly string[]): Promise<number> {
  const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
  const machine = await VirtualMachine.prepare();
  if (!(machine instanceof VirtualMachine)) {
    print(machine.message);
    return 1;
  }
  const { results } = await machine.run([recorderModule(names)], { seconds: 300 });
  let failed = 0;
  for (const { name, error, value, milliseconds } of results) {
    if (error === null) {
      const text = encodeRecording(value as Recording);
      await Deno.writeTextFile(new URL(`${name}.json`, FOLDER), text);
      print(`${name}: ${text.length} bytes, ${milliseconds} ms`);
    } else {
      failed++;
      print(`${name}: ${error}`);
    }
  }
  const format = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", FOLDER.pathname],
  }).output();
  return failed === 0 && format.success ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));

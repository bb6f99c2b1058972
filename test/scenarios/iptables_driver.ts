/**
 * iptables mode as a data plane: its rules tell by their counters what they refuse.
 *
 * @module
 */

import assert from "node:assert/strict";
import { IptablesDataPlane } from "../../src/dataplane/iptables/dataplane.ts";
import type { Backend, ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { parseSave } from "../../src/dataplane/iptables/save_text.ts";
import { restoreText } from "../../src/dataplane/iptables/text.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import { close, O_WRONLY, open, write } from "../../src/linux/libc.ts";
import type { Family } from "../../src/net/address.ts";
import { type Refusals, refusedSince } from "./answers.ts";
import { NetfilterDriver, type NetfilterNode } from "./netfilter_driver.ts";

/** Runs scenarios with an implementation of iptables. */
export function iptablesDriver(backend: Backend): NetfilterDriver {
  return new NetfilterDriver("iptables", async (runner, namespaceFd, configuration) => {
    const { families, nodePortAddresses } = configuration;
    const dataPlane = await IptablesDataPlane.start({
      engine: LocalEngine.create(),
      families,
      rules: { nodePortAddresses },
      namespaceFd,
      backend,
      canaryPeriodMs: 0,
    });
    return new IptablesNode(dataPlane, runner);
  });
}

class IptablesNode implements NetfilterNode {
  readonly dataPlane: IptablesDataPlane;
  readonly #runner: ProgramRunner;

  constructor(dataPlane: IptablesDataPlane, runner: ProgramRunner) {
    this.dataPlane = dataPlane;
    this.#runner = runner;
  }

  async watchRefusals(family: Family): Promise<() => Promise<Refusals>> {
    const before = await this.#refusals(family);
    return async () => refusedSince(before, await this.#refusals(family));
  }

  remembersClients(family: Family): boolean {
    return this.#clientLists(family).size > 0;
  }

  forgetClients(family: Family): Promise<void> {
    const names = this.#clientLists(family);
    const clear = new TextEncoder().encode("/");
    this.#runner.inside(() => {
      for (const name of names) {
        const fd = open(`/proc/thread-self/net/xt_recent/${name}`, O_WRONLY);
        const written = write(fd, clear, clear.length);
        close(fd);
        assert.equal(written, clear.length);
      }
    });
    return Promise.resolve();
  }

  /** Packets that rules of ours have refused so far. */
  async #refusals(family: Family): Promise<Refusals> {
    const { backend } = this.dataPlane.programs;
    const program = `${family === "IPv4" ? "iptables" : "ip6tables"}-${backend}-save`;
    const { stdout } = await this.#runner.run(program, ["-c", "-t", "filter"]);
    const counts = { REJECT: 0n, DROP: 0n };
    for (const { chain, tokens, counters } of parseSave(stdout).flatMap(({ rules }) => rules)) {
      // KUBE-FORWARD drops what conntrack cannot place, whatever the flow.
      if (!chain.startsWith("KUBE-") || chain === "KUBE-FORWARD") continue;
      const target = tokens[tokens.indexOf("-j") + 1];
      if (target === "REJECT" || target === "DROP") counts[target] += counters!.packets;
    }
    return counts;
  }

  /** Names of the lists in which xt_recent remembers clients. */
  #clientLists(family: Family): Set<string> {
    const text = restoreText(this.dataPlane.rules(family)!);
    return new Set([...text.matchAll(/ -m recent --name (\S+)/g)].map(([, name]) => name));
  }
}

/**
 * What a sync sent, counted while it is made and goes by.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { MOST_SENT, type SentRules, sentRules } from "../dataplane.ts";
import { countLines, countRuleLines, type TableDiff } from "./diff.ts";
import type { TableName } from "./rules.ts";
import type { TableChanges } from "./transaction_text.ts";

/** Counts one sync of one family. */
export class Tally {
  /** Lines of rules and chains. */
  lines = 0;
  /** Rules among them, in the proxy's own chains. */
  readonly written: Record<TableName, number> = { filter: 0, nat: 0 };
  #beginning = "";

  /** The same changes. */
  *changesOf(changes: Iterable<TableChanges>): Generator<TableChanges> {
    for (const { table, parts } of changes) yield { table, parts: this.#partsOf(parts) };
  }

  /** The same text. */
  *textOf(pieces: Iterable<string>): Generator<string> {
    for (const piece of pieces) {
      // One character more than is kept tells that there is more.
      if (this.#beginning.length <= MOST_SENT) this.#beginning += piece;
      yield piece;
    }
  }

  of(family: Family): {
    readonly family: Family;
    readonly lines: number;
    readonly written: Readonly<Record<TableName, number>>;
    readonly sent: SentRules;
  } {
    const { lines, written } = this;
    return { family, lines, written, sent: sentRules(family, lines, this.#beginning) };
  }

  *#partsOf(parts: TableChanges["parts"]): Generator<TableDiff | null> {
    for (const diff of parts) {
      if (diff !== null) {
        this.lines += countLines(diff);
        this.written.filter += countRuleLines([diff], "filter");
        this.written.nat += countRuleLines([diff], "nat");
      }
      yield diff;
    }
  }
}

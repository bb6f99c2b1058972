/**
 * Who changes which tables of nf_tables, as the kernel tells it (NFNLGRP_NFTABLES). Source: the
 * kernel's nf_tables_api.c, nf_tables_commit and nf_tables_*_notify.
 *
 * @module
 */

import { attributes } from "../../attribute.ts";
import { MessageFormat } from "../../format.ts";
import type { Message } from "../../message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../socket.ts";
import { messageType, NFNETLINK_HEADER, SUBSYSTEM } from "../nfnetlink.ts";
import { name } from "./codecs.ts";
import { FAMILY, type TableFamily } from "./formats.ts";
import type { TableName } from "./objects.ts";

/** NFNLGRP_NFTABLES: the group that is told of each change. */
const GROUP = 7;

/** NFT_MSG_NEWGEN: the end of what one batch has changed. */
const NEW_GENERATION = messageType(SUBSYSTEM.nftables, 15);

/** NFTA_*_TABLE, whatever was changed; of a table itself NFTA_TABLE_NAME. */
const CHANGE = new MessageFormat(NFNETLINK_HEADER, attributes({ table: [1, name] }));

const FAMILIES = new Map<number, TableFamily>(
  Object.entries(FAMILY).map(([family, number]) => [number, family as TableFamily]),
);

/** Follows changes from when it is asked for the first one. */
export class TableWatch {
  private constructor(private readonly socket: NetlinkSocket) {}

  /** For the namespace that this thread is in now, wherever it goes later. */
  static open(): TableWatch {
    return new TableWatch(NetlinkSocket.open(NETLINK_NETFILTER));
  }

  /**
   * The table of each thing that was changed by another socket than the one of this port; null:
   * changes were missed, whoever made them. What packets change in sets is not told. Ends by
   * {@link close}; one consumer at a time.
   */
  async *changes(port: number): AsyncGenerator<TableName | null, void, void> {
    this.socket.subscribe([GROUP]);
    for await (const event of this.socket.events()) {
      if (event.kind === "overrun") {
        yield null;
        continue;
      }
      const { message } = event;
      if (message.port === port || message.type === NEW_GENERATION) continue;
      const table = tableOf(message);
      if (table !== null) yield table;
    }
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Null: it is of no family that is known here. */
function tableOf({ payload }: Message): TableName | null {
  const { header, attributes: { table } } = CHANGE.decode(payload);
  const family = FAMILIES.get(header.family);
  return family === undefined || table === undefined ? null : { family, table };
}

/**
 * nfacct objects, which rules count into (linux/netfilter/nfnetlink_acct.h).
 *
 * @module
 */

import { ERRNO } from "../../linux/libc.ts";
import { attributes } from "../../netlink/attribute.ts";
import { be64, string } from "../../netlink/codec.ts";
import { NetlinkError, NLM_F_CREATE } from "../../netlink/message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../netlink/socket.ts";
import { Writer } from "../../netlink/writer.ts";
import { type CounterName, COUNTERS } from "./options.ts";

/** NFNL_SUBSYS_ACCT with NFNL_MSG_ACCT_NEW, NFNL_MSG_ACCT_GET. */
const ACCT_NEW = 7 << 8 | 0;
const ACCT_GET = 7 << 8 | 1;
/** struct nfgenmsg: family AF_UNSPEC, version NFNETLINK_V0, resource 0. */
const HEADER = new Uint8Array(4);

const ACCT = attributes({ name: [1, string], packets: [2, be64] });

/**
 * Makes the counters that are not there yet, in the network namespace of this thread. Returns those
 * that exist now: none where the kernel has no nfacct or refuses.
 */
export function ensureCounters(): ReadonlySet<CounterName> {
  const counters = new Set<CounterName>();
  using socket = NetlinkSocket.open(NETLINK_NETFILTER);
  for (const name of Object.values(COUNTERS)) if (ensure(socket, name)) counters.add(name);
  return counters;
}

function ensure(socket: NetlinkSocket, name: CounterName): boolean {
  const payload = new Writer(64);
  payload.bytes(HEADER);
  ACCT.write(payload, { name });
  try {
    socket.request({
      type: ACCT_NEW,
      flags: NLM_F_CREATE,
      payload: payload.written,
      what: `create the nfacct object ${name}`,
    });
    return true;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    // One of that name, which is what EBUSY means here too, will do.
    return error.errno === ERRNO.EEXIST || error.errno === ERRNO.EBUSY;
  }
}

/**
 * Packets that the counters of this thread's namespace have counted; those that are not there are
 * left out.
 */
export function readCounters(): ReadonlyMap<CounterName, bigint> {
  const counts = new Map<CounterName, bigint>();
  using socket = NetlinkSocket.open(NETLINK_NETFILTER);
  for (const name of Object.values(COUNTERS)) {
    const packets = readPackets(socket, name);
    if (packets !== null) counts.set(name, packets);
  }
  return counts;
}

function readPackets(socket: NetlinkSocket, name: CounterName): bigint | null {
  const payload = new Writer(64);
  payload.bytes(HEADER);
  ACCT.write(payload, { name });
  try {
    const what = `read the nfacct object ${name}`;
    const [message] = socket.request({ type: ACCT_GET, payload: payload.written, what });
    return message === undefined
      ? null
      : ACCT.read(message.payload.subarray(HEADER.length)).packets ?? null;
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return null;
    throw error;
  }
}

/**
 * What the names of flags stand for.
 *
 * @module
 */

/** Bits by name, by type. (linux/netfilter/nf_conntrack_common.h, tcp.h) */
export const FLAGS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ct_state: { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 },
  ct_status: {
    expected: 1,
    "seen-reply": 2,
    assured: 4,
    confirmed: 8,
    snat: 16,
    dnat: 32,
    dying: 512,
  },
  tcp_flag: { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 },
};

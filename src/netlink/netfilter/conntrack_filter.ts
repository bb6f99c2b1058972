/**
 * Which connections are meant: a filter for the kernel, as far as it can be trusted to know it, and
 * the same filter applied here.
 *
 * @module
 */

import { type Family, familyOf } from "../../net/address.ts";
import type { ValuesOf } from "../attribute.ts";
import { familyNumber } from "../family.ts";
import type { Connection, Tuple } from "./conntrack_connection.ts";
import {
  CONNECTION,
  FILTER_DESTINATION,
  FILTER_DESTINATION_PORT,
  FILTER_PROTOCOL,
  FILTER_SOURCE,
  FILTER_SOURCE_PORT,
  type TUPLE,
} from "./conntrack_formats.ts";

/** Parts of a tuple that must be equal. Addresses are canonical. */
export interface TupleFilter {
  readonly source?: string;
  readonly destination?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** A number of which the bits of `mask` (default: all) must be those of `value`. */
export interface Masked {
  readonly value: number;
  readonly mask?: number;
}

/** Connections for which everything given holds. */
export interface ConnectionFilter {
  readonly family?: Family;
  /** IP protocol. */
  readonly protocol?: number;
  readonly original?: TupleFilter;
  readonly reply?: TupleFilter;
  readonly mark?: Masked;
  /** Without a mask, the bits of `value` must be set and others may be. */
  readonly status?: Masked;
  readonly zone?: number;
}

/** Whether a connection is meant. */
export function matches(connection: Connection, filter: ConnectionFilter): boolean {
  const { family, protocol, original, reply, mark, status, zone } = filter;
  return (family === undefined || connection.family === family) &&
    (protocol === undefined || connection.original.protocol === protocol) &&
    (zone === undefined || connection.zone === zone) &&
    (mark === undefined || masked(connection.mark, mark.value, mark.mask ?? 0xffffffff)) &&
    (status === undefined ||
      masked(connection.status, status.value, status.mask ?? status.value)) &&
    (original === undefined || matchesTuple(connection.original, original)) &&
    (reply === undefined || matchesTuple(connection.reply, reply));
}

function masked(number: number, value: number, mask: number): boolean {
  return (number & mask) >>> 0 === value >>> 0;
}

function matchesTuple(tuple: Tuple, filter: TupleFilter): boolean {
  return (filter.source === undefined || tuple.source === filter.source) &&
    (filter.destination === undefined || tuple.destination === filter.destination) &&
    (filter.sourcePort === undefined || tuple.sourcePort === filter.sourcePort) &&
    (filter.destinationPort === undefined || tuple.destinationPort === filter.destinationPort);
}

/**
 * The payloads of the dumps that together contain all connections that are meant, and perhaps
 * more: kernels ignore what they don't know yet (tuples before 5.8, status before 5.17), and are not
 * asked for zones, which some lack and refuse. None when the filter contradicts itself.
 */
export function kernelFilters(filter: ConnectionFilter): Uint8Array[] {
  const addresses = [filter.original, filter.reply]
    .flatMap((tuple) => [tuple?.source, tuple?.destination])
    .filter((address) => address !== undefined);
  const families = new Set(addresses.map(familyOf));
  if (filter.family !== undefined) families.add(filter.family);
  if (families.size > 1) return [];
  const [family] = families;
  const tuples = filter.protocol !== undefined || addresses.length > 0;
  // The kernel filters by tuple only within one family.
  const dumps: readonly (Family | undefined)[] = family !== undefined
    ? [family]
    : tuples
    ? ["IPv4", "IPv6"]
    : [undefined];
  return dumps.map((one) => encode(one, filter));
}

function encode(family: Family | undefined, filter: ConnectionFilter): Uint8Array {
  const { protocol, mark, status } = filter;
  const original = family && kernelTuple(family, protocol, filter.original ?? {});
  const reply = family && kernelTuple(family, protocol, filter.reply ?? {});
  const wanted = original !== undefined && reply !== undefined &&
    (original.flags | reply.flags) !== 0;
  return CONNECTION.encode({ family: familyNumber(family) }, {
    ...(wanted
      ? {
        original: original.flags === 0 ? undefined : original.values,
        reply: reply.flags === 0 ? undefined : reply.values,
        filter: { original: original.flags, reply: reply.flags },
      }
      : {}),
    mark: mark?.value,
    markMask: mark?.mask,
    status: status?.value,
    statusMask: status?.mask,
  });
}

interface KernelTuple {
  readonly flags: number;
  readonly values: ValuesOf<typeof TUPLE>;
}

/**
 * The part of a tuple's filter that the kernel does right. Most kernels from 5.8 on return exactly
 * the connections that do *not* have an IPv6 address that is asked for, so these are not asked for;
 * ports are looked at only together with the protocol.
 */
function kernelTuple(
  family: Family,
  protocol: number | undefined,
  filter: TupleFilter,
): KernelTuple {
  const { source, destination } = family === "IPv4" ? filter : {};
  const { sourcePort, destinationPort } = hasPorts(protocol) ? filter : {};
  return {
    flags: (source === undefined ? 0 : FILTER_SOURCE) |
      (destination === undefined ? 0 : FILTER_DESTINATION) |
      (protocol === undefined ? 0 : FILTER_PROTOCOL) |
      (sourcePort === undefined ? 0 : FILTER_SOURCE_PORT) |
      (destinationPort === undefined ? 0 : FILTER_DESTINATION_PORT),
    values: {
      ip: source === undefined && destination === undefined
        ? undefined
        : { source4: source, destination4: destination },
      protocol: protocol === undefined
        ? undefined
        : { number: protocol, sourcePort, destinationPort },
    },
  };
}

/** TCP, UDP, DCCP, SCTP and UDP-Lite. */
function hasPorts(protocol: number | undefined): boolean {
  return protocol !== undefined && [6, 17, 33, 132, 136].includes(protocol);
}

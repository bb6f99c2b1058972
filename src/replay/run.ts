/**
 * Replays a capture on a thread of its own.
 *
 * @module
 */

import { CaptureError } from "../capture/reader.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import { MASQUERADE_PORTS } from "../dataplane/userspace/render.ts";
import type { EngineOptions } from "../engine/engine.ts";
import { ENGINE_FILE } from "../engine/module.ts";
import { type Family, familyOf } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";
import { connectWorker } from "../rpc/worker_rpc.ts";
import type { ReplayOptions } from "./replay.ts";
import type { ReplayReport } from "./report.ts";
import type { ReplayMethods } from "./worker.ts";

/** What a capture is replayed with. */
export interface ReplaySetting extends ReplayOptions {
  readonly plan: Plan;
  /** Whose engine: that of userspace mode masquerades every connection. */
  readonly mode: ProxyMode;
  /** Decides all that is random; the same seed gives the same report. */
  readonly seed: bigint;
}

/** Services handed over at a time: some milliseconds of work. */
const BATCH = 200;
/** What the thread may take beyond its own limit before it is ended, milliseconds. */
const GRACE_MS = 10_000;

/**
 * What a capture's packets would meet with. The file is taken away from the caller. Rejects with a
 * CaptureError when it is not as its format wants it.
 */
export async function replayCapture(
  file: Uint8Array<ArrayBuffer>,
  setting: ReplaySetting,
): Promise<ReplayReport> {
  // The plan may change meanwhile; its Services don't.
  const { node, services } = setting.plan;
  const all = [...services.values()];
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: "replay",
    deno: { permissions: { read: [ENGINE_FILE] } },
  });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error("the replay did not end in time")),
    setting.maxMs + GRACE_MS,
  );
  try {
    const remote = connectWorker<ReplayMethods>(worker);
    const run = async () => {
      const broken = await remote.open(file);
      if (broken !== null) throw new CaptureError(broken.offset, withoutOffset(broken.message));
      await remote.start(engineOptions(setting), node);
      for (let from = 0; from < all.length; from += BATCH) {
        await remote.add(all.slice(from, from + BATCH));
      }
      const { limit, maxMs } = setting;
      return await remote.run({ limit, maxMs });
    };
    return await Promise.race([run(), late.promise]);
  } finally {
    clearTimeout(timer);
    worker.terminate();
  }
}

function withoutOffset(message: string): string {
  return message.replace(/^at offset \d+: /, "");
}

/**
 * The node's first address of each family. Where nobody told one, an address of documentation (RFC
 * 5737, RFC 3849) stands for it: there is one on every node, and it decides nothing.
 */
function masqueradeAddresses({ node: { addresses } }: Plan): Record<Family, string> {
  const first = (family: Family) => addresses.find((address) => familyOf(address) === family);
  return { IPv4: first("IPv4") ?? "192.0.2.251", IPv6: first("IPv6") ?? "2001:db8::fffb" };
}

/** An engine that has room for the plan, and a ring of one packet. */
function engineOptions({ plan, mode, seed }: ReplaySetting): EngineOptions {
  const count = { servicePorts: 0, frontends: 0, backends: 0 };
  for (const { ports } of plan.services.values()) {
    for (const { frontends, endpoints } of ports) {
      count.servicePorts++;
      count.frontends += frontends.length;
      count.backends += endpoints.length;
    }
  }
  return {
    seed,
    masqueradeAddresses: masqueradeAddresses(plan),
    slots: 1,
    keptSyns: 1,
    connections: 1 << 17,
    servicePorts: Math.max(256, count.servicePorts),
    frontends: Math.max(256, count.frontends),
    backends: Math.max(4096, count.backends * 2),
    ...(mode === "userspace" ? { masqueradeAlways: true, masqueradePorts: MASQUERADE_PORTS } : {}),
  };
}

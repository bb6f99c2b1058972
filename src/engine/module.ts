/**
 * The compiled engine: its exports, typed, and an instance with its memory.
 *
 * @module
 */

/** What wasm/engine.wasm exports: see asm/index.ts. Addresses are byte offsets in the memory. */
export interface EngineExports {
  layout(
    slots: number,
    slotBytes: number,
    connections: number,
    servicePorts: number,
    frontends: number,
    backends: number,
    affinities: number,
    keptSyns: number,
  ): number;
  start(flags: number, firstPort: number, lastPort: number, seed: bigint, nowMs: number): void;
  setTimeout(state: number, ms: number): void;
  setDatagramTimeouts(ms: number, streamMs: number): void;
  process(first: number, count: number, nowMs: number): void;
  expire(nowMs: number, budget: number): void;
  scratchAt(): number;
  scratchSize(): number;
  slotsAt(): number;
  slotStrideBytes(): number;
  slotCapacityBytes(): number;
  slotRecordsAt(): number;
  countersAt(): number;
  dropsAt(): number;
  connectionsNow(): number;
  connectionLimit(): number;
  networksSet(list: number, family: number, count: number): number;
  masqueradeSet(family: number, present: boolean): number;
  servicePortAdd(): number;
  servicePortUpdate(id: number, scheduler: number, flags: number, affinityMs: number): void;
  servicePortRemove(id: number): void;
  frontendPut(): number;
  frontendRemove(id: number): void;
  backendAdd(servicePort: number, port: number, family: number): number;
  backendGeneration(id: number): number;
  backendIsLeaving(id: number, generation: number): number;
  backendRevive(id: number, generation: number, servicePort: number): number;
  backendRemove(id: number): void;
  backendDescribe(id: number): number;
  poolSet(servicePort: number, kind: number, count: number): number;
  lookup(nowMs: number): void;
  candidates(servicePort: number, kind: number, from: number, limit: number): number;
  connections(cursor: number, limit: number, nowMs: number): number;
  connectionsNext(): number;
  schedule(servicePort: number, kind: number, nowMs: number): number;
  burden(backend: number, active: number, total: number): void;
}

/** How much an engine can hold; its memory is made for exactly that. */
export interface Capacity {
  readonly slots: number;
  /** Bytes of a slot: header and packet. */
  readonly slotSize: number;
  readonly connections: number;
  readonly servicePorts: number;
  readonly frontends: number;
  readonly backends: number;
  readonly affinities: number;
  /** SYNs kept for another try. */
  readonly keptSyns: number;
}

/** An instance whose tables are laid out. */
export interface Instance {
  readonly exports: EngineExports;
  readonly memory: WebAssembly.Memory;
}

/** Where the compiled engine is, beside the sources. */
export const ENGINE_FILE = new URL("../../wasm/engine.wasm", import.meta.url);

let compiled: WebAssembly.Module | null = null;

/** The compiled module; read once. */
export function engineModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(Deno.readFileSync(ENGINE_FILE));
  return compiled;
}

/**
 * Makes an instance for a capacity. Its memory never grows or moves, so views of it and pointers
 * into it stay valid. Throws RangeError when the capacity is more than a 32-bit memory can have.
 */
export function instantiate(capacity: Capacity, module = engineModule()): Instance {
  const bytes = estimate(capacity);
  if (bytes >= 2 ** 32) {
    throw new RangeError(
      `an engine of this capacity needs ${Math.ceil(bytes / 2 ** 20)} MiB, more than 4096`,
    );
  }
  const pages = layOut(exportsWith(module, new WebAssembly.Memory({ initial: 1 })), capacity);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const exports = exportsWith(module, memory);
  layOut(exports, capacity);
  return { exports, memory };
}

/** Upper bound of the bytes that a capacity needs: the engine itself counts in 32 bits. */
function estimate(capacity: Capacity): number {
  return capacity.slots * (capacity.slotSize + 256) + capacity.connections * 64 +
    capacity.servicePorts * 5120 + capacity.frontends * 128 + capacity.backends * 448 +
    capacity.affinities * 64 + capacity.keptSyns * 192 + 2 ** 23;
}

function exportsWith(module: WebAssembly.Module, memory: WebAssembly.Memory): EngineExports {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return instance.exports as unknown as EngineExports;
}

function layOut(exports: EngineExports, capacity: Capacity): number {
  return exports.layout(
    capacity.slots,
    capacity.slotSize,
    capacity.connections,
    capacity.servicePorts,
    capacity.frontends,
    capacity.backends,
    capacity.affinities,
    capacity.keptSyns,
  );
}

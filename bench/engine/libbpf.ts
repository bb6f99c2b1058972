/**
 * The few calls of libbpf that a test run of a BPF program takes. Nothing is attached to anything:
 * programs and maps are gone when the object is closed.
 *
 * @module
 */

const SYMBOLS = {
  libbpf_set_print: { parameters: ["pointer"], result: "pointer" },
  bpf_object__open_file: { parameters: ["buffer", "pointer"], result: "pointer" },
  bpf_object__load: { parameters: ["pointer"], result: "i32" },
  bpf_object__close: { parameters: ["pointer"], result: "void" },
  bpf_object__find_map_by_name: { parameters: ["pointer", "buffer"], result: "pointer" },
  bpf_object__find_program_by_name: { parameters: ["pointer", "buffer"], result: "pointer" },
  bpf_map__set_max_entries: { parameters: ["pointer", "u32"], result: "i32" },
  bpf_map__fd: { parameters: ["pointer"], result: "i32" },
  bpf_program__fd: { parameters: ["pointer"], result: "i32" },
  bpf_map_update_elem: { parameters: ["i32", "buffer", "buffer", "u64"], result: "i32" },
  bpf_map_lookup_elem: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  bpf_map_update_batch: {
    parameters: ["i32", "buffer", "buffer", "buffer", "pointer"],
    result: "i32",
  },
  bpf_prog_test_run_opts: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** Where the fields of struct bpf_test_run_opts are that we use. */
const OPTIONS = {
  size: 80,
  dataIn: 8,
  dataOut: 16,
  dataInSize: 24,
  dataOutSize: 28,
  result: 56,
  repeat: 60,
  duration: 64,
};

/** What a test run gave. */
export interface TestRun {
  /** What the program returned. */
  readonly result: number;
  /** How long it took, ns, as the kernel measured it around the program alone. */
  readonly nanoseconds: number;
  /** The frame as the program left it. */
  readonly frame: Uint8Array<ArrayBuffer>;
}

/** libbpf's convention: 0 or more, or an error's number below 0. */
function check(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: errno ${-result}`);
  return result;
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** One object file's maps and programs in the kernel. */
export class BpfObject implements Disposable {
  readonly #library: Library;
  readonly #object: Deno.PointerValue;

  private constructor(library: Library, object: Deno.PointerValue) {
    this.#library = library;
    this.#object = object;
  }

  /**
   * Loads an object file, with as many entries in its maps as `entries` says by name. Throws
   * Deno.errors.NotFound when there is no libbpf, Error when the kernel refuses.
   */
  static load(file: string, entries: Readonly<Record<string, number>>): BpfObject {
    const library = openLibrary();
    const { symbols } = library;
    symbols.libbpf_set_print(null);
    const loaded = new BpfObject(library, symbols.bpf_object__open_file(cString(file), null));
    try {
      if (loaded.#object === null) throw new Error(`${file}: is no BPF object`);
      for (const [name, count] of Object.entries(entries)) {
        check(symbols.bpf_map__set_max_entries(loaded.#map(name), count), `map ${name}`);
      }
      check(symbols.bpf_object__load(loaded.#object), "loading BPF programs");
      return loaded;
    } catch (error) {
      loaded[Symbol.dispose]();
      throw error;
    }
  }

  #map(name: string): Deno.PointerValue {
    return this.#library.symbols.bpf_object__find_map_by_name(this.#object, cString(name));
  }

  /** The file descriptor of a map. */
  map(name: string): number {
    return check(this.#library.symbols.bpf_map__fd(this.#map(name)), `map ${name}`);
  }

  /** The file descriptor of a program. */
  program(name: string): number {
    const { symbols } = this.#library;
    const program = symbols.bpf_object__find_program_by_name(this.#object, cString(name));
    return check(symbols.bpf_program__fd(program), `program ${name}`);
  }

  /** Sets the first entry of an array. */
  setFirst(map: number, value: Uint8Array<ArrayBuffer>): void {
    const { symbols } = this.#library;
    check(symbols.bpf_map_update_elem(map, new Uint8Array(4), value, 0n), "bpf_map_update_elem");
  }

  /** Reads it into `value`. */
  readFirst(map: number, value: Uint8Array<ArrayBuffer>): void {
    const { symbols } = this.#library;
    check(symbols.bpf_map_lookup_elem(map, new Uint8Array(4), value), "bpf_map_lookup_elem");
  }

  /** Sets `count` entries. */
  setMany(
    map: number,
    keys: Uint8Array<ArrayBuffer>,
    values: Uint8Array<ArrayBuffer>,
    count: number,
  ): void {
    const { symbols } = this.#library;
    const done = Uint32Array.of(count);
    const result = symbols.bpf_map_update_batch(map, keys, values, done, null);
    check(result, `bpf_map_update_batch after ${done[0]} of ${count} entries`);
  }

  /** Runs a program once with a frame. */
  testRun(program: number, frame: Uint8Array<ArrayBuffer>): TestRun {
    const after = new Uint8Array(frame.length);
    const options = new DataView(new ArrayBuffer(OPTIONS.size));
    const setPointer = (at: number, data: Uint8Array<ArrayBuffer>) =>
      options.setBigUint64(at, Deno.UnsafePointer.value(Deno.UnsafePointer.of(data)), true);
    options.setBigUint64(0, BigInt(OPTIONS.size), true);
    setPointer(OPTIONS.dataIn, frame);
    setPointer(OPTIONS.dataOut, after);
    options.setUint32(OPTIONS.dataInSize, frame.length, true);
    options.setUint32(OPTIONS.dataOutSize, after.length, true);
    options.setInt32(OPTIONS.repeat, 1, true);
    const { symbols } = this.#library;
    check(symbols.bpf_prog_test_run_opts(program, options), "BPF_PROG_TEST_RUN");
    return {
      result: options.getUint32(OPTIONS.result, true),
      nanoseconds: options.getUint32(OPTIONS.duration, true),
      frame: after,
    };
  }

  [Symbol.dispose](): void {
    if (this.#object !== null) this.#library.symbols.bpf_object__close(this.#object);
    this.#library.close();
  }
}

function openLibrary(): Library {
  try {
    return Deno.dlopen("libbpf.so.1", SYMBOLS);
  } catch (error) {
    throw new Deno.errors.NotFound("there is no libbpf.so.1", { cause: error });
  }
}

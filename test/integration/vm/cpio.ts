/**
 * Archives in cpio's "newc" format, of which an initramfs consists. Written here because device
 * files need no privilege that way. Source: Documentation/driver-api/early-userspace/
 * buffer-format.rst of the kernel.
 *
 * @module
 */

/** A file of an archive. Its folder must come before it. */
export type ArchiveEntry =
  | { readonly path: string; readonly kind: "folder" }
  | { readonly path: string; readonly kind: "program"; readonly content: Uint8Array }
  | { readonly path: string; readonly kind: "link"; readonly target: string }
  | {
    readonly path: string;
    readonly kind: "character device";
    readonly major: number;
    readonly minor: number;
  };

const MODES = {
  folder: 0o040755,
  program: 0o100755,
  link: 0o120777,
  "character device": 0o020600,
} as const;

/** The bytes of an archive. */
export function archive(entries: readonly ArchiveEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const [i, entry] of entries.entries()) {
    const device = entry.kind === "character device" ? entry : { major: 0, minor: 0 };
    parts.push(...member(i + 1, MODES[entry.kind], entry.path, content(entry), device));
  }
  parts.push(...member(0, 0, "TRAILER!!!", new Uint8Array(), { major: 0, minor: 0 }));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function content(entry: ArchiveEntry): Uint8Array {
  if (entry.kind === "program") return entry.content;
  return new TextEncoder().encode(entry.kind === "link" ? entry.target : "");
}

function member(
  inode: number,
  mode: number,
  path: string,
  data: Uint8Array,
  device: { readonly major: number; readonly minor: number },
): Uint8Array[] {
  const name = new TextEncoder().encode(path + "\0");
  const links = 1;
  const fields = [
    inode,
    mode,
    0,
    0,
    links,
    0,
    data.length,
    0,
    0,
    device.major,
    device.minor,
    name.length,
    0,
  ];
  const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const head = new Uint8Array(padded(header.length + name.length));
  head.set(new TextEncoder().encode(header));
  head.set(name, header.length);
  const body = new Uint8Array(padded(data.length));
  body.set(data);
  return [head, body];
}

function padded(length: number): number {
  return length + 3 & ~3;
}

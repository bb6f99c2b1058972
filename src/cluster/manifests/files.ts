/** Reading manifest files: a file, the files of a folder, or standard input. @module */

/** Most bytes that are read of one file. */
export const MAX_FILE_BYTES = 10 * 1024 * 1024;

/** A file's text, or why there is none. */
export type ManifestFile =
  & { readonly name: string }
  & ({ readonly text: string } | { readonly error: string });

/** Files of a folder that are read. */
const MANIFEST_NAME = /^[^.].*\.(yaml|yml|json)$/;

/**
 * Reads what `path` names: one file, the *.yaml, *.yml and *.json files of a folder in order of
 * name (its subfolders are left out), or standard input for "-".
 *
 * @throws when the path itself cannot be read; a file of a folder that cannot is reported in its
 * place.
 */
export async function readManifestFiles(path: string): Promise<ManifestFile[]> {
  if (path === "-") return [await readStream("standard input", Deno.stdin.readable)];
  if (!(await statPath(path)).isDirectory) return [await readFile(path)];
  const names: string[] = [];
  for await (const entry of Deno.readDir(path)) {
    if (!entry.isDirectory && MANIFEST_NAME.test(entry.name)) names.push(entry.name);
  }
  names.sort();
  const folder = path.endsWith("/") ? path : `${path}/`;
  const files: ManifestFile[] = [];
  for (const name of names) {
    const file = await readFile(`${folder}${name}`);
    if (!("error" in file) || file.error !== GONE) files.push(file);
  }
  return files;
}

/** What a path names. @throws an error with one line that says why it cannot be read. */
export async function statPath(path: string): Promise<Deno.FileInfo> {
  return await Deno.stat(path).catch((cause) => {
    throw new Error(`${path}: ${reasonOf(cause)}`, { cause });
  });
}

const GONE = "no such file or folder";

async function readFile(name: string): Promise<ManifestFile> {
  try {
    const file = await Deno.open(name);
    const { isFile, size } = await file.stat();
    if (isFile && size > MAX_FILE_BYTES) {
      file.close();
      return { name, error: TOO_LARGE };
    }
    return await readStream(name, file.readable);
  } catch (cause) {
    return { name, error: reasonOf(cause) };
  }
}

const TOO_LARGE = `too large, expected at most ${MAX_FILE_BYTES} bytes (10 MiB)`;

async function readStream(
  name: string,
  stream: ReadableStream<Uint8Array>,
): Promise<ManifestFile> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_FILE_BYTES) return { name, error: TOO_LARGE };
    chunks.push(chunk);
  }
  try {
    const bytes = await new Blob(chunks as BlobPart[]).bytes();
    return { name, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { name, error: "not text, expected UTF-8" };
  }
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return GONE;
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (cause instanceof Deno.errors.NotCapable) return "not readable without --allow-read";
  if (cause instanceof Deno.errors.IsADirectory) return "a folder, expected a file";
  return cause instanceof Error ? cause.message.replaceAll("\n", " ") : String(cause);
}

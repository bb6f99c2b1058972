/** Cluster state from manifests: files, a folder that is followed live, or standard input. @module */

import { getLogger } from "@logtape/logtape";
import type { Pod } from "../objects.ts";
import {
  type ClusterListener,
  type ClusterProblem,
  type ClusterSource,
  formatProblem,
  type SimulatedCluster,
} from "../source.ts";
import { ClusterModel } from "./cluster_model.ts";
import { type DecodedFile, decodeFile } from "./decode.ts";
import { byIdentity, changesBetween, equal, type ObjectMap } from "./diff.ts";
import { type ManifestFile, readManifestFiles } from "./files.ts";
import { controlPlaneOptions, type ManifestOptions } from "./options.ts";
import { PathWatcher } from "./watch.ts";
import { messageOf } from "../../errors.ts";

const logger = getLogger(["switchyard", "manifests"]);

/** What a {@link ManifestSource} reads, and how. */
export interface ManifestSourceOptions extends ManifestOptions {
  /** Follow changes of the file or folder; standard input cannot change. */
  readonly watch?: boolean;
  /** Told the pods before the changes that come with them, when they are others than before. */
  readonly onPods?: (pods: readonly Pod[]) => void;
}

/**
 * A cluster described by manifests, with the objects that a cluster's control plane would add.
 *
 * A document that becomes broken is reported, and what it described stays as it last was; a
 * document or file that goes away takes its objects with it. If the path as a whole cannot be read
 * any more, everything stays.
 */
export class ManifestSource implements ClusterSource {
  readonly #options: ManifestSourceOptions;
  readonly #model: ClusterModel;
  #files: readonly (readonly [ManifestFile, DecodedFile])[] = [];
  #objects: ObjectMap | null = null;
  #pods: readonly Pod[] | null = null;
  #problems = "";

  /** @throws {TypeError} on an option that is no network. */
  constructor(options: ManifestSourceOptions) {
    this.#options = options;
    this.#model = new ClusterModel(controlPlaneOptions(options));
  }

  get simulated(): SimulatedCluster {
    return this.#model;
  }

  async run(listener: ClusterListener, signal: AbortSignal): Promise<void> {
    const { path, watch } = this.#options;
    // Opened before the first reading, so that no change falls in between.
    const watcher = watch === true && path !== "-" ? await PathWatcher.open(path) : null;
    const stop = () => watcher?.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (signal.aborted) return;
      this.#report(listener, await this.#read());
      if (watcher === null) return;
      for await (const _ of watcher.changes()) {
        if (signal.aborted) return;
        await this.#refresh(listener, signal);
      }
    } finally {
      signal.removeEventListener("abort", stop);
      if (!signal.aborted) stop();
    }
  }

  async #refresh(listener: ClusterListener, signal: AbortSignal): Promise<void> {
    let decoded: readonly DecodedFile[];
    try {
      decoded = await this.#read();
    } catch (cause) {
      const { path } = this.#options;
      const message = messageOf(cause)
        .replace(`${path}: `, "");
      this.#reportProblems(listener, [{ where: path, message }]);
      return;
    }
    if (!signal.aborted) this.#report(listener, decoded);
  }

  /** Reads all files; those whose text is as before are not decoded again. */
  async #read(): Promise<readonly DecodedFile[]> {
    const files: [ManifestFile, DecodedFile][] = [];
    for (const file of await readManifestFiles(this.#options.path)) {
      const known = this.#files.find(([before]) => equal(before, file));
      files.push([file, known?.[1] ?? await decodeFile(file)]);
    }
    this.#files = files;
    return files.map(([, decoded]) => decoded);
  }

  #report(listener: ClusterListener, files: readonly DecodedFile[]): void {
    const { objects, pods, problems } = this.#model.update(files);
    this.#reportProblems(listener, problems);
    if (!equal(this.#pods, pods)) {
      this.#pods = pods;
      this.#options.onPods?.(pods);
    }
    const before = this.#objects;
    this.#objects = byIdentity(objects);
    const changes = changesBetween(before ?? new Map(), this.#objects);
    logger.debug("{path}: {changes} changes", {
      path: this.#options.path,
      changes: changes.length,
    });
    if (before === null || changes.length > 0) listener.changed(changes);
  }

  #reportProblems(listener: ClusterListener, problems: readonly ClusterProblem[]): void {
    const lines = problems.map(formatProblem).join("\n");
    if (lines === this.#problems) return;
    this.#problems = lines;
    listener.problems(problems);
  }
}

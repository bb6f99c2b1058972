/** Finding the pods that a selector matches. @module */

import type { Pod } from "../objects.ts";

/** Pods, findable by namespace and labels without looking at each of them. */
export class PodIndex {
  readonly #byNamespace = new Map<string, Pod[]>();
  readonly #byLabel = new Map<string, Pod[]>();

  constructor(pods: readonly Pod[]) {
    for (const pod of pods) {
      const { namespace, labels } = pod.metadata;
      append(this.#byNamespace, namespace, pod);
      for (const [key, value] of Object.entries(labels ?? {})) {
        append(this.#byLabel, labelKey(namespace, key, value), pod);
      }
    }
  }

  /** The namespace's pods that have all of the selector's labels; an empty selector matches all. */
  matching(namespace: string, selector: Readonly<Record<string, string>>): Pod[] {
    const wanted = Object.entries(selector);
    let fewest = this.#byNamespace.get(namespace) ?? [];
    for (const [key, value] of wanted) {
      const some = this.#byLabel.get(labelKey(namespace, key, value)) ?? [];
      if (some.length < fewest.length) fewest = some;
    }
    return fewest.filter(({ metadata }) =>
      wanted.every(([key, value]) => metadata.labels?.[key] === value)
    );
  }
}

function labelKey(namespace: string, key: string, value: string): string {
  return `${namespace}\n${key}\n${value}`;
}

function append(map: Map<string, Pod[]>, key: string, pod: Pod): void {
  const pods = map.get(key);
  if (pods === undefined) map.set(key, [pod]);
  else pods.push(pod);
}

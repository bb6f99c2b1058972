/**
 * EndpointSlices in a third of the memory: of a cluster's objects, endpoints are by far the most.
 *
 * @module
 */

import type { EndpointSlice, SliceEndpoint } from "../objects.ts";
import { sharedJson } from "../schema/shared.ts";

type TargetRef = NonNullable<SliceEndpoint["targetRef"]>;
/** What endpoints on one node have in common. */
type Traits = Omit<SliceEndpoint, "addresses" | "targetRef">;

const sharedTraits = sharedJson<Traits>();

/** A slice that keeps its endpoints in columns, and makes them anew whenever they are asked for. */
export class PackedSlice implements EndpointSlice {
  readonly kind = "EndpointSlice";
  readonly metadata: EndpointSlice["metadata"];
  readonly addressType: EndpointSlice["addressType"];
  readonly ports: EndpointSlice["ports"];
  /** An only address by itself: the rule. */
  readonly #addresses: readonly (string | readonly string[])[];
  readonly #traits: readonly Traits[];
  /** Pods of the slice's own namespace by name: the rule. Null: no endpoint has any. */
  readonly #targets: readonly (string | TargetRef | undefined)[] | null;

  constructor({ metadata, addressType, ports, endpoints }: EndpointSlice) {
    this.metadata = metadata;
    this.addressType = addressType;
    this.ports = ports;
    this.#addresses = endpoints.map(({ addresses }) =>
      addresses.length === 1 ? addresses[0] : addresses
    );
    this.#traits = endpoints.map(({ addresses: _, targetRef: __, ...traits }) =>
      sharedTraits(traits)
    );
    this.#targets = endpoints.some(({ targetRef }) => targetRef !== undefined)
      ? endpoints.map(({ targetRef }) => this.#packedTarget(targetRef))
      : null;
  }

  get endpoints(): SliceEndpoint[] {
    return this.#addresses.map((addresses, i) => {
      const target = this.#targets?.[i];
      return {
        ...this.#traits[i],
        addresses: typeof addresses === "string" ? [addresses] : addresses,
        ...(target === undefined ? {} : { targetRef: this.#target(target) }),
      };
    });
  }

  #packedTarget(target: TargetRef | undefined): string | TargetRef | undefined {
    const isOwnPod = target?.kind === "Pod" && target.namespace === this.metadata.namespace;
    return isOwnPod && target.name !== undefined ? target.name : target;
  }

  #target(packed: string | TargetRef): TargetRef {
    return typeof packed === "string"
      ? { kind: "Pod", namespace: this.metadata.namespace, name: packed }
      : packed;
  }
}

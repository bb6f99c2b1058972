/**
 * Adding, replacing and removing objects that belong to links, one or many at once.
 *
 * @module
 */

import {
  type NetlinkError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../message.ts";
import type { NetlinkSocket } from "../socket.ts";
import type { LinkRef, Links } from "./links.ts";

/** What is done to an object. */
export type Verb = "add" | "replace" | "remove";

/** What an object of one kind is described by, and the requests that edit it. */
export abstract class Editing<Spec> {
  constructor(protected readonly socket: NetlinkSocket, protected readonly links: Links) {}

  /** The request that does it; links are given as `index` finds them. */
  protected abstract request(
    verb: Verb,
    spec: Spec,
    index: (link: LinkRef) => number,
  ): Omit<Request, "flags">;

  /** Adds one; EEXIST when it is there, ENODEV without the link. */
  add(spec: Spec): void {
    this.#one("add", spec);
  }

  /** Adds one or changes the properties of the one that is there. */
  replace(spec: Spec): void {
    this.#one("replace", spec);
  }

  /** Removes one; an error of its kind when there is none. */
  remove(spec: Spec): void {
    this.#one("remove", spec);
  }

  /** Many at once; for each null or why it failed. */
  addAll(specs: readonly Spec[]): (NetlinkError | null)[] {
    return this.#batch("add", specs);
  }

  replaceAll(specs: readonly Spec[]): (NetlinkError | null)[] {
    return this.#batch("replace", specs);
  }

  removeAll(specs: readonly Spec[]): (NetlinkError | null)[] {
    return this.#batch("remove", specs);
  }

  #one(verb: Verb, spec: Spec): void {
    const request = this.request(verb, spec, (link) => this.links.index(link));
    this.socket.request({ ...request, flags: VERB_FLAGS[verb] });
  }

  #batch(verb: Verb, specs: readonly Spec[]): (NetlinkError | null)[] {
    const index = this.links.indexes();
    return this.socket.batch(specs.map((spec) => ({
      ...this.request(verb, spec, index),
      flags: VERB_FLAGS[verb],
    })));
  }
}

const VERB_FLAGS: Readonly<Record<Verb, number>> = {
  add: NLM_F_CREATE | NLM_F_EXCL,
  replace: NLM_F_CREATE | NLM_F_REPLACE,
  remove: 0,
};

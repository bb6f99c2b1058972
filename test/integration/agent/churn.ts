/** Services and endpoints that change at random. Every endpoint ever named serves all the time. */

import type { Random } from "../../fuzz/random.ts";
import type { Target } from "../../../src/lab/probe.ts";
import type { TestApiServer } from "./api_server.ts";
import { type Condition, server, service, slice, target } from "./objects.ts";

/** Services that are there all the time, with at least one endpoint that serves. */
const STEADY = 4;
const SERVICES = 20;
const POOL = Array.from({ length: 40 }, (_, i) => `10.244.1.${i + 1}`);

/** The machine that all endpoints are on. */
export const BACKENDS = server("backends", POOL);

const nameOf = (index: number) => `s${index}`;
const addressOf = (index: number) => `10.96.1.${index + 1}`;

export class Churn {
  readonly #api: TestApiServer;
  readonly #random: Random;
  readonly #endpoints = new Map<number, Map<string, Condition>>();

  constructor(api: TestApiServer, random: Random) {
    this.#api = api;
    this.#random = random;
  }

  /** What a client may ask at any time and must be answered. */
  get steady(): Target[] {
    return Array.from({ length: STEADY }, (_, i) => target(addressOf(i)));
  }

  /** Makes what is there from the start. */
  async begin(): Promise<void> {
    for (let i = 0; i < STEADY; i++) await this.#create(i);
  }

  /** One random change. */
  async change(): Promise<void> {
    const index = this.#random.below(SERVICES);
    const endpoints = this.#endpoints.get(index);
    if (endpoints === undefined) await this.#create(index);
    else if (index >= STEADY && this.#random.once(6)) await this.#remove(index);
    else await this.#changeEndpoints(index, endpoints);
  }

  /** One more Service and, in its slice, endpoint: when these answer, all before has been seen. */
  async finish(): Promise<Target> {
    const address = "10.96.2.1";
    await this.#api.put(service("last", address));
    await this.#api.put(slice("last", new Map([[POOL[0], "ready"]])));
    return target(address);
  }

  async #create(index: number): Promise<void> {
    const endpoints = new Map<string, Condition>([[this.#random.pick(POOL), "ready"]]);
    this.#endpoints.set(index, endpoints);
    await this.#api.put(slice(nameOf(index), endpoints));
    await this.#api.put(service(nameOf(index), addressOf(index)));
  }

  async #remove(index: number): Promise<void> {
    this.#endpoints.delete(index);
    await this.#api.remove("Service", nameOf(index));
    await this.#api.remove("EndpointSlice", nameOf(index));
  }

  async #changeEndpoints(index: number, endpoints: Map<string, Condition>): Promise<void> {
    const address = this.#random.pick(POOL);
    const before = endpoints.get(address);
    if (before !== undefined && this.#random.once(2)) endpoints.delete(address);
    else endpoints.set(address, this.#random.pick(["ready", "ready", "terminating", "unready"]));
    const serves = [...endpoints.values()].some((condition) => condition !== "unready");
    if (index < STEADY && !serves) endpoints.set(address, "ready");
    await this.#api.put(slice(nameOf(index), endpoints));
  }
}

/**
 * Kubernetes feature gates.
 *
 * @module
 */

/** Stages of Kubernetes' features; a stable one's is empty, as in its metrics. */
export type GateStage = "ALPHA" | "BETA" | "";

/** A feature that can be switched here. */
export interface Gate {
  readonly name: string;
  /** In the release of Kubernetes whose kube-proxy this is like. */
  readonly stage: GateStage;
  readonly enabled: boolean;
}

/**
 * The feature gates that switch something here, on unless switched off, with their stages. Others are
 * taken, whatever their names: they come and go with the releases of Kubernetes.
 */
const STAGES = { ComponentFlagz: "ALPHA", ComponentStatusz: "ALPHA" } as const satisfies Readonly<
  Record<string, GateStage>
>;

/** The name of a gate that switches something. */
export type GateName = keyof typeof STAGES;

/** Whether a gate switches something. */
export function hasEffect(name: string): name is GateName {
  return Object.hasOwn(STAGES, name);
}

/** Whether a feature is on, by the gates that were switched. */
export function isEnabled(name: GateName, switched: ReadonlyMap<string, boolean>): boolean {
  return switched.get(name) ?? true;
}

/** All gates that switch something, by the gates that were switched. */
export function gates(switched: ReadonlyMap<string, boolean>): Gate[] {
  return (Object.keys(STAGES) as GateName[]).map((name) => ({
    name,
    stage: STAGES[name],
    enabled: isEnabled(name, switched),
  }));
}

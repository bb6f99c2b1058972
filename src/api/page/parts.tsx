/**
 * Small parts that several pages show.
 *
 * @module
 */

import type { Child, FC } from "hono/jsx";
import type { ProblemView } from "./client.ts";

/** How well something is: its colour. The words beside it always say the same. */
export type Tone = "good" | "warn" | "bad" | "plain";

/** A word about how something is. */
export const Badge: FC<{ tone: Tone; children?: Child }> = ({ tone, children }) => (
  <span class={`badge ${tone}`}>{children}</span>
);

/** A number or word with what it is. */
export const Fact: FC<{ name: string; tone?: Tone; children?: Child }> = (
  { name, tone = "plain", children },
) => (
  <div class={`fact ${tone}`}>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

/** That something could not be had, and why. */
export const Problem: FC<{ problem: ProblemView; title?: string }> = (
  { problem, title = "That cannot be answered" },
) => (
  <div class="notice bad" role="alert">
    <strong>{title}</strong>
    <p>{problem.message}</p>
  </div>
);

/** Something to know, in a box. */
export const Notice: FC<{ tone: Tone; title: string; children?: Child }> = (
  { tone, title, children },
) => (
  <div class={`notice ${tone}`}>
    <strong>{title}</strong>
    {children}
  </div>
);

/** A share from 0 to 1 as per cent, as short as it can be told. */
export function percent(share: number): string {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  const digits = share === 1 || share === 0 ? 0 : share < 0.1 ? 2 : 1;
  return `${(share * 100).toFixed(digits)} %`;
}

/** A bar of a share from 0 to 1; what it says has to be in text beside it. */
export const Bar: FC<{ share: number; tone?: Tone }> = ({ share, tone = "plain" }) => (
  <svg class={`bar ${tone}`} viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
    <rect class="rail" width="100" height="4" rx="2" />
    <rect class="fill" width={Math.max(0, Math.min(1, share)) * 100} height="4" rx="2" />
  </svg>
);

/** "1 Service", "2 Services". */
export function counted(count: number, singular: string, plural = `${singular}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? singular : plural}`;
}

/**
 * What the Kubernetes components tell of themselves, at the paths where they do: `/configz`, `/statusz`,
 * `/flagz` (KEP-4827, KEP-4828) and, where it is asked for, `/debug/…`.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { messageOf } from "../errors.ts";
import { CpuProfiler } from "./profiler.ts";

/** What there is to tell. */
export interface Zpages {
  readonly version: string;
  /** KubeProxyConfiguration as kube-proxy shows it. */
  configuration(): unknown;
  /** By name, without dashes. */
  readonly flags: ReadonlyMap<string, string>;
  readonly statusz: boolean;
  readonly flagz: boolean;
  /** Whether the process may be profiled and its verbosity set. */
  readonly profiling: boolean;
  setVerbosity(verbosity: number): void;
}

const COMPONENT = "switchyard";
/** The group of the configuration's API. */
const GROUP = "kubeproxy.config.k8s.io";

/** Adds the routes. */
export function addZpages(app: OpenAPIHono, pages: Zpages): void {
  app.get("/configz", (context) => context.json({ [GROUP]: pages.configuration() }));
  if (pages.statusz) app.get("/statusz", textPage(() => statusText(pages.version)));
  if (pages.flagz) app.get("/flagz", textPage(() => flagText(pages.flags)));
  if (pages.profiling) addDebugging(app, pages);
}

/** Only text is offered; who wants only something else is told so. */
function textPage(text: () => string) {
  return (context: Context) => {
    const accepted = (context.req.header("accept") ?? "*/*").split(",")
      .map((range) => range.split(";")[0].trim());
    if (!accepted.some((range) => ["*/*", "text/*", "text/plain"].includes(range))) {
      return context.text("this page is text/plain\n", 406);
    }
    context.header("Content-Type", "text/plain; charset=utf-8");
    return context.body(text());
  };
}

function heading(page: string): string {
  return `\n${COMPONENT} ${page}\nFor people to read: its form may be another tomorrow.\n\n`;
}

function statusText(version: string, startedMs = performance.timeOrigin): string {
  const seconds = Math.floor((Date.now() - startedMs) / 1000);
  const two = (number: number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return heading("statusz") + [
    `Started: ${unixDate(new Date(startedMs))}`,
    `Up: ${hours} hr ${two(Math.floor(seconds / 60) % 60)} min ${two(seconds % 60)} sec`,
    `Deno version: ${Deno.version.deno}`,
    `Binary version: ${version}`,
    "",
  ].join("\n");
}

/** As date(1) prints it: "Sat Jan 31 12:00:00 UTC 2026". */
function unixDate(date: Date): string {
  const [weekday, day, month, year, time] = date.toUTCString().replace(",", "").split(" ");
  return `${weekday} ${month} ${day.replace(/^0/, " ")} ${time} UTC ${year}`;
}

function flagText(flags: ReadonlyMap<string, string>): string {
  const names = [...flags.keys()].sort();
  return heading("flagz") + names.map((name) => `${name}=${flags.get(name)}\n`).join("");
}

/** Longest profile, seconds: clients give up sooner. */
const MAX_SECONDS = 300;
const DEFAULT_SECONDS = 30;

function addDebugging(app: OpenAPIHono, pages: Zpages): void {
  const profiler = new CpuProfiler();
  app.get("/debug/pprof/", (context) =>
    context.text(
      "profile?seconds=30  CPU profile of V8, to open in a browser's developer tools (.cpuprofile)\n",
    ));
  app.get("/debug/pprof/profile", async (context) => {
    const text = context.req.query("seconds") ?? String(DEFAULT_SECONDS);
    const seconds = Number(text);
    if (!/^\d+$/.test(text) || seconds < 1 || seconds > MAX_SECONDS) {
      return context.text(`seconds: expected a whole number from 1 to ${MAX_SECONDS}\n`, 400);
    }
    if (profiler.busy) return context.text("a profile is being taken already\n", 429);
    try {
      const profile = await profiler.take(seconds * 1000);
      context.header("Content-Disposition", 'attachment; filename="switchyard.cpuprofile"');
      return context.body(profile, 200, { "Content-Type": "application/json" });
    } catch (error) {
      return context.text(`no profile: ${messageOf(error)}\n`, 500);
    }
  });
  app.put("/debug/flags/v", bodyLimit({ maxSize: 100 }), async (context) => {
    const text = (await context.req.text()).trim();
    if (!/^\d{1,9}$/.test(text)) {
      return context.text(`expected a whole number, found ${JSON.stringify(text)}\n`, 400);
    }
    pages.setVerbosity(Number(text));
    return context.text(`verbosity is ${Number(text)}\n`);
  });
}

/**
 * The shapes of the rule-query API.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { familyOf, parseAddress } from "../net/address.ts";

/** Packets that one request may ask about. */
export const MAX_PACKETS = 10_000;

/** Longest address in any notation, characters. */
export const MAX_ADDRESS = 64;

/** An address in any notation, made canonical. */
export const address = z.string({ error: "expected an IP address" }).max(
  MAX_ADDRESS,
  "expected an IP address",
)
  .transform((text, context): string => {
    const canonical = parseAddress(text);
    if (canonical !== null) return canonical;
    context.addIssue({ code: "custom", message: "expected an IP address" });
    return z.NEVER;
  });

const PORT = { error: "expected a whole number from 1 to 65535" };

/** A port that packets can have. */
export const port = z.int(PORT).min(1, PORT).max(65_535, PORT);

/** Protocols that Services have. */
export const protocol = z.enum(["TCP", "UDP", "SCTP"], { error: "expected TCP, UDP or SCTP" });

/** A number of items in a query string, from 1. */
export function limitOf(most: number) {
  const error = { error: `expected a whole number from 1 to ${most}` };
  return z.string(error).regex(/^[0-9]{1,6}$/, error).transform(Number)
    .refine((value) => value >= 1 && value <= most, error)
    .optional()
    .openapi({ type: "integer", minimum: 1, maximum: most });
}

/** For `responses` of a route whose answers have an ETag. */
export const notModified = {
  304: { description: "the same as what If-None-Match names" },
};

/** What a packet in a query is called. */
export const packetName = z.string().max(256).optional().openapi({
  description: "anything; the result carries it again",
});

/** Whether both ends of a packet are of one family; {@link sameFamilyError} says what is wrong. */
export function sameFamily(packet: { source: string; dest: string }): boolean {
  return familyOf(packet.source) === familyOf(packet.dest);
}
export const sameFamilyError = {
  path: ["dest"],
  error: "expected an address of the source's IP family",
};

/** A packet in a query. */
export const PacketQuery = z.strictObject({
  name: packetName,
  source: address.openapi({ type: "string", example: "10.244.1.5" }),
  sourcePort: port.optional().openapi({ description: "absent: any" }),
  dest: address.openapi({ type: "string", example: "10.0.1.175" }),
  port: port.openapi({ example: 80 }),
  protocol,
}, { error: (issue) => issue.code === "invalid_type" ? "expected an object" : undefined })
  .refine(sameFamily, sameFamilyError).openapi("Packet");

/** The body of a lookup. */
export const LookupRequest = z.strictObject({
  packets: z.array(PacketQuery, { error: "expected a list of packets" })
    .max(MAX_PACKETS, `expected at most ${MAX_PACKETS} packets`),
}, {
  error: (issue) =>
    issue.code === "invalid_type" ? 'expected an object: {"packets": […]}' : undefined,
}).openapi("LookupRequest");

export const verdict = z.enum(["FORWARD", "REJECT", "DROP", "PASS"]);
export const sourceClass = z.enum(["pod", "node", "outside"]);
export const frontendKind = z.enum(["ClusterIP", "NodePort", "ExternalIP", "LoadBalancer"]);
export const probability = z.number().min(0).max(1);

/** Where one packet would go now, and why. */
export const LookupResult = z.object({
  name: z.string().optional(),
  verdict,
  service: z.string().nullable().openapi({ example: "default/hostnames" }),
  frontend: frontendKind.nullable(),
  sourceClass,
  backend: z.object({ address: z.string(), port: z.int() }).nullable(),
  backends: z.array(z.object({ address: z.string(), port: z.int(), probability })),
  masquerade: z.boolean(),
  reason: z.string(),
}).openapi("LookupResult");

/** The answer to a lookup: results in the order of the packets. */
export const LookupResponse = z.object({ results: z.array(LookupResult) }).openapi(
  "LookupResponse",
);

/** An endpoint behind a frontend, with the engine's counters of the service port it belongs to. */
export const BackendView = z.object({
  address: z.string(),
  port: z.int(),
  weight: z.int(),
  ready: z.boolean(),
  serving: z.boolean(),
  terminating: z.boolean(),
  local: z.boolean().openapi({ description: "on this node" }),
  pod: z.string().optional().openapi({ description: "namespace/name" }),
  node: z.string().optional(),
  zone: z.string().optional(),
  connections: z.int().openapi({ description: "given to it since it was added" }),
  active: z.int().openapi({ description: "tracked now" }),
  packets: z.int(),
  bytes: z.int(),
}).openapi("Backend");

const Route = z.union([
  z.object({
    action: z.literal("forward"),
    to: z.enum(["cluster", "local"]),
    masquerade: z.boolean(),
  }),
  z.object({ action: z.enum(["reject", "drop"]) }),
]).openapi("Route");

/** An address and port that clients dial. */
export const FrontendView = z.object({
  kind: frontendKind,
  address: z.string(),
  port: z.int(),
  protocol,
  portName: z.string(),
  family: z.enum(["IPv4", "IPv6"]),
  scheduler: z.string(),
  affinity: z.enum(["None", "ClientIP"]),
  affinitySeconds: z.int().nullable(),
  sourceRanges: z.array(z.string()).nullable(),
  routes: z.object({ pod: Route, node: Route, outside: Route }),
  backends: z.array(BackendView),
}).openapi("Frontend");

/** A Service as it is served on this node. */
export const ServiceView = z.object({
  namespace: z.string(),
  name: z.string(),
  type: z.enum(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
  headless: z.boolean(),
  externalName: z.string().optional(),
  internalTrafficPolicy: z.enum(["Cluster", "Local"]).nullable(),
  externalTrafficPolicy: z.enum(["Cluster", "Local"]).nullable(),
  healthCheckNodePort: z.int().nullable(),
  localReadyEndpoints: z.int(),
  frontends: z.array(FrontendView),
}).openapi("Service");

/** Services, by namespace and name. */
export const ServiceList = z.object({
  items: z.array(ServiceView),
  next: z.string().nullable().openapi({ description: "cursor of the next page; null: the last" }),
}).openapi("ServiceList");

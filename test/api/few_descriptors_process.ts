/** Every kind of HTTP server that the proxy has, for tests; says where, and ends with standard input. */

import { serve, serveSocket } from "../../src/api/server.ts";
import { HttpListeners } from "../../src/health_check/listeners.ts";

const [path, address] = Deno.args;
const { hostname, port } = JSON.parse(address);
const tcp = serve({ host: "127.0.0.1", port: 0 }, () => new Response("hello"));
const socket = await serveSocket(path, () => new Response("hello"));
const health = new HttpListeners(() => ({ status: 200, headers: {}, body: "hello" }));
await health.open("default/web", port, [hostname]);
await Deno.stdout.write(new TextEncoder().encode(`${tcp.address.port}\n`));
await Deno.stdin.read(new Uint8Array(1));
await Promise.all([tcp.stop(), socket.stop(), health.stop()]);

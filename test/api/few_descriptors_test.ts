/** Clients that take all file descriptors of the process end neither it nor its servers. */

import assert from "node:assert/strict";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { exchange, getRequest, statusOf } from "./raw_http.ts";

const LIMIT = 120;

/** Connections with heads that never end, more than there are descriptors for. */
async function holdAll(connect: () => Promise<Deno.Conn>): Promise<Deno.Conn[]> {
  const held: Deno.Conn[] = [];
  for (let i = 0; i < LIMIT; i++) {
    // While it begins to listen again, nobody is there.
    const connection = await connect().catch(() => null);
    if (connection === null) break;
    held.push(connection);
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nX-Slow: ")).catch(() => {});
  }
  return held;
}

/** Resolves when the other side has ended a connection. */
async function ended(connection: Deno.Conn): Promise<void> {
  const n = await connection.read(new Uint8Array(1)).catch(() => null);
  assert.equal(n, null);
}

/** An address at which no other test listens, so that any port will do. */
const HEALTH = { hostname: "127.90.31.7", port: 30_001 };

Deno.test({
  ...requires("servers without descriptors let all connections go, and serve on", "sh"),
  async fn() {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/api.sock`;
    const script = new URL("few_descriptors_process.ts", import.meta.url).pathname;
    const run = [
      Deno.execPath(),
      "run",
      "--no-check",
      "--allow-all",
      script,
      path,
      JSON.stringify(HEALTH),
    ];
    const child = new Deno.Command("sh", {
      args: ["-c", `ulimit -n ${LIMIT} && exec "$@"`, "sh", ...run],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    try {
      const said = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const port = Number((await said.read()).value);
      await said.cancel();
      const ways: (() => Promise<Deno.Conn>)[] = [
        () => Deno.connect({ hostname: "127.0.0.1", port }),
        () => Deno.connect({ transport: "unix", path }),
        () => Deno.connect(HEALTH),
      ];
      for (const connect of ways) {
        const held = await holdAll(connect);
        await ended(held[0]);
        const answered = async () => {
          const connection = await connect().catch(() => null);
          if (connection === null) return false;
          const answer = await exchange(connection, getRequest("/", "x")).catch(() => "");
          return statusOf(answer) === 200;
        };
        await until(answered, "it answers again");
        for (const connection of held) connection.close();
      }
    } finally {
      await child.stdin.close();
      const { success } = await child.status;
      await Deno.remove(folder, { recursive: true });
      assert.ok(success);
    }
  },
});

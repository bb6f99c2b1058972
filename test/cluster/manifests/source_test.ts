import assert from "node:assert/strict";
import { ManifestSource } from "../../../src/cluster/manifests/source.ts";
import { identityOfObject } from "../../../src/cluster/control/located.ts";
import { type ClusterObject, objectKey } from "../../../src/cluster/objects.ts";
import { formatProblem } from "../../../src/cluster/source.ts";
import { addressesIn } from "../cluster_helpers.ts";
import { until } from "../../until.ts";

/** A source at work on a folder of its own, and what it has told. */
class Running implements AsyncDisposable {
  readonly folder: string;
  readonly objects = new Map<string, ClusterObject>();
  problems: readonly string[] = [];
  pods: readonly string[] = [];
  batches = 0;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  private constructor(folder: string, path: string) {
    this.folder = folder;
    const source = new ManifestSource({
      path,
      watch: true,
      onPods: (pods) => this.pods = pods.map(objectKey),
    });
    this.#done = source.run({
      changed: (changes) => {
        this.batches++;
        for (const { action, object } of changes) {
          if (action === "apply") this.objects.set(identityOfObject(object), object);
          else assert(this.objects.delete(identityOfObject(object)));
        }
      },
      problems: (problems) => {
        this.problems = problems.map((one) => formatProblem(one).replace(`${folder}/`, ""));
      },
    }, this.#abort.signal);
  }

  static async start(files: Record<string, string>, path = ""): Promise<Running> {
    const folder = await Deno.makeTempDir();
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const running = new Running(folder, path === "" ? folder : `${folder}/${path}`);
    await running.until(() => running.batches === 1);
    return running;
  }

  /** Writes a file in its place, at once: nobody reads a part of it, nor none. */
  async write(name: string, text: string): Promise<void> {
    using file = await Deno.open(`${this.folder}/${name}`, { write: true, create: true });
    const { size } = await file.stat();
    const bytes = new TextEncoder().encode(text.padEnd(size, "\n"));
    assert.equal(await file.write(bytes), bytes.length);
  }

  /** Replaces a file as many editors do. */
  async replace(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/.${name}.swp`, text);
    await Deno.rename(`${this.folder}/.${name}.swp`, `${this.folder}/${name}`);
  }

  /** Waits for a condition: a change takes about 60 ms, but the machine may be busy. */
  async until(condition: () => boolean): Promise<void> {
    await until(condition, String(condition));
  }

  services(): string[] {
    return [...this.objects.values()].filter((one) => one.kind === "Service")
      .map((one) => one.metadata.name).sort();
  }

  clusterIP(name: string): string | undefined {
    const object = this.objects.get(`Service default/${name}`);
    return object?.kind === "Service" ? object.spec.clusterIP : undefined;
  }

  addresses(): string[] {
    return addressesIn([...this.objects.values()].filter((one) => one.kind === "EndpointSlice"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#done;
    await Deno.remove(this.folder, { recursive: true });
  }
}

function service(name: string, spec = ""): string {
  return `---\napiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  ports:\n` +
    `    - port: 80\n${spec}`;
}

function deployment(replicas: number): string {
  return `---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n` +
    `  replicas: ${replicas}\n  template:\n    metadata: { labels: { app: web } }\n` +
    "    spec: { containers: [{ name: c, ports: [{ containerPort: 80 }] }] }\n";
}

const WEB = service("web", "  selector: { app: web }\n");

Deno.test("replicas change the endpoints, and those that stay keep their address", async () => {
  await using running = await Running.start({ "web.yaml": WEB + deployment(3) });
  const three = running.addresses();
  assert.equal(three.length, 3);
  assert.equal(running.pods.length, 3);
  await running.write("web.yaml", WEB + deployment(5));
  await running.until(() => running.addresses().length === 5);
  assert.deepEqual(running.addresses().slice(0, 3), three);
  await running.replace("web.yaml", WEB + deployment(2));
  await running.until(() => running.addresses().length === 2);
  assert.deepEqual(running.addresses(), three.slice(0, 2));
  assert.equal(running.pods.length, 2);
});

Deno.test("files that come and go bring and take their objects", async () => {
  await using running = await Running.start({ "a.yaml": service("a") });
  await running.write("b.yaml", service("b") + service("c"));
  await running.until(() => running.services().join() === "a,b,c");
  await Deno.remove(`${running.folder}/a.yaml`);
  await running.until(() => running.services().join() === "b,c");
  await running.write("b.yaml", service("c"));
  await running.until(() => running.services().join() === "c");
  const { batches } = running;
  await running.write("b.yaml", `# a comment changes nothing\n${service("c")}`);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(running.batches, batches);
});

Deno.test("what becomes broken is reported and stays as it was", async () => {
  await using running = await Running.start({
    "a.yaml": service("a") + service("b"),
    "c.yaml": service("c"),
  });
  const before = running.clusterIP("b");
  await running.write("a.yaml", service("a") + service("b").replace("80", "0") + service("d"));
  await running.until(() => running.services().join() === "a,b,c,d");
  assert.deepEqual(running.problems, [
    "a.yaml:16: Service default/b: spec.ports[0].port: " +
    "expected a whole number from 1 to 65535, found 0",
  ]);
  assert.equal(running.clusterIP("b"), before);

  await running.write("a.yaml", "---\na: [\n---\n" + service("a"));
  await running.until(() => running.problems.length === 1 && running.problems[0].includes("YAML"));
  assert.equal(running.services().join(), "a,b,c,d");

  await running.write("a.yaml", service("a"));
  await running.until(() => running.services().join() === "a,c");
  assert.deepEqual(running.problems, []);
});

Deno.test("a Service that claims another one's address stays as it was accepted", async () => {
  await using running = await Running.start({
    "a.yaml": service("a", "  clusterIP: 10.96.0.1\n"),
    "b.yaml": service("b", "  clusterIP: 10.96.0.2\n"),
  });
  await running.write("b.yaml", service("b", "  clusterIP: 10.96.0.1\n"));
  await running.until(() => running.problems.length === 1);
  assert.deepEqual(running.problems, [
    "b.yaml:2: Service default/b: spec.clusterIP: 10.96.0.1 is the address of Service default/a",
  ]);
  assert.equal(running.clusterIP("b"), "10.96.0.2");
  await running.write("a.yaml", service("a", "  clusterIP: 10.96.0.3\n"));
  await running.until(() => running.clusterIP("b") === "10.96.0.1");
  assert.deepEqual(running.problems, []);
});

Deno.test("a single file is followed through replacement and removal", async () => {
  await using running = await Running.start({ "a.yaml": service("a") }, "a.yaml");
  await running.replace("a.yaml", service("b"));
  await running.until(() => running.services().join() === "b");
  await Deno.remove(`${running.folder}/a.yaml`);
  await running.until(() => running.problems.length === 1);
  assert.deepEqual(running.problems, ["a.yaml: no such file or folder"]);
  assert.equal(running.services().join(), "b");
  await running.write("a.yaml", service("c"));
  await running.until(() => running.services().join() === "c");
  assert.deepEqual(running.problems, []);
});

Deno.test("without watching, a source ends after the initial state, which may be empty", async () => {
  const folder = await Deno.makeTempDir();
  const batches: number[] = [];
  const listener = {
    changed: (all: readonly unknown[]) => batches.push(all.length),
    problems() {},
  };
  try {
    const source = new ManifestSource({ path: folder });
    await source.run(listener, new AbortController().signal);
    assert.deepEqual(batches, [0]);
    const missing = new ManifestSource({ path: `${folder}/x`, watch: true });
    await assert.rejects(missing.run(listener, new AbortController().signal), {
      message: `${folder}/x: no such file or folder`,
    });
    assert.throws(() => new ManifestSource({ path: folder, podNetworks: ["x"] }), TypeError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Certificates for tests, made by openssl. */

/** A folder of certificates and keys in PEM, removed in the end. */
export class Pki implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<Pki> {
    return new Pki(await Deno.makeTempDir());
  }

  path(file: string): string {
    return `${this.folder}/${file}`;
  }

  read(file: string): Promise<string> {
    return Deno.readTextFile(this.path(file));
  }

  /** NAME.crt and NAME.key, an authority. */
  async authority(name: string): Promise<void> {
    await this.#openssl(
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", `${name}.key`, "-out", `${name}.crt`, "-days", "2", "-subj", `/CN=${name}`],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    );
  }

  /**
   * NAME.crt and NAME.key, signed by an authority; `names` as in "DNS:api.test,IP:127.0.0.1".
   *
   * @param subject whom it is about: "/O=GROUP/CN=USER" for the API server.
   */
  async certificate(
    name: string,
    authority: string,
    names?: string,
    subject = `/CN=${name}`,
  ): Promise<void> {
    const extensions = [
      "basicConstraints=CA:FALSE",
      `extendedKeyUsage=${names === undefined ? "clientAuth" : "serverAuth"}`,
      ...(names === undefined ? [] : [`subjectAltName=${names}`]),
    ];
    await Deno.writeTextFile(this.path(`${name}.ext`), extensions.join("\n"));
    await this.#openssl(
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject],
    );
    await this.#openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-out", `${name}.crt`, "-days", "2"],
      ...["-CA", `${authority}.crt`, "-CAkey", `${authority}.key`, "-CAcreateserial"],
      ...["-extfile", `${name}.ext`],
    );
  }

  /** Makes the authority "ca", and what a server shows that it has signed for `names`. */
  async server(names: string): Promise<{ cert: string; key: string }> {
    await this.authority("ca");
    await this.certificate("server", "ca", names);
    return await this.pair("server");
  }

  /** What a server shows that was made under a name. */
  async pair(name: string): Promise<{ cert: string; key: string }> {
    return { cert: await this.read(`${name}.crt`), key: await this.read(`${name}.key`) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }

  async #openssl(...args: string[]): Promise<void> {
    const options = { args, cwd: this.folder, stdout: "null", stderr: "piped" } as const;
    const { success, stderr } = await new Deno.Command("openssl", options).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }
}

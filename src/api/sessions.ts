/**
 * Sessions of browsers that have shown the token: a cookie that says until when, signed with a key
 * that is made from the token. Nothing is kept here, and another token ends them all.
 *
 * @module
 */

/** The cookie's name. */
export const SESSION_COOKIE = "switchyard_session";

/** A session lasts this long, seconds. */
export const SESSION_SECONDS = 12 * 3600;

const encoder = new TextEncoder();

/** Signs sessions, and checks them. */
export class Sessions {
  readonly #key: Promise<CryptoKey>;

  constructor(token: string, private readonly now: () => number = Date.now) {
    this.#key = signingKey(token);
  }

  /** The cookie of a new session. */
  async begin(): Promise<string> {
    const until = String(Math.floor(this.now() / 1000) + SESSION_SECONDS);
    const signature = await crypto.subtle.sign("HMAC", await this.#key, encoder.encode(until));
    return `${until}.${new Uint8Array(signature).toHex()}`;
  }

  /** Whether a cookie is of a session that has not ended. */
  async isValid(cookie: string): Promise<boolean> {
    const parts = /^(\d{1,12})\.([0-9a-f]{64})$/.exec(cookie);
    if (parts === null || Number(parts[1]) * 1000 <= this.now()) return false;
    const signature = Uint8Array.fromHex(parts[2]);
    return await crypto.subtle.verify("HMAC", await this.#key, signature, encoder.encode(parts[1]));
  }
}

/** The token itself is no key: what it signs must not be told from what else it may sign. */
async function signingKey(token: string): Promise<CryptoKey> {
  const material = await crypto.subtle.digest(
    "SHA-256",
    encoder.encode(`switchyard session\n${token}`),
  );
  const hmac = { name: "HMAC", hash: "SHA-256" };
  return await crypto.subtle.importKey("raw", material, hmac, false, ["sign", "verify"]);
}

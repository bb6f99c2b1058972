/**
 * SHA-256 of short texts (FIPS 180-4).
 *
 * Every endpoint's chain is named by one, so that a node makes a hundred thousand of them at a start.
 * Going through the runtime's own takes four times as long for so few bytes.
 *
 * @module
 */

/** The first 32 bits of the fractional parts of the roots of the first primes. */
const ROUND = fractions(64, Math.cbrt);
const INITIAL = fractions(8, Math.sqrt);

/** Bytes of a block, and of what stands after the text at least: a bit, and its length in bits. */
const BLOCK = 64;
const TRAILER = 9;

const encoder = new TextEncoder();
const schedule = new Int32Array(64);
let input = new Uint8Array(16 * BLOCK);

const state = new Int32Array(8);

/** The digest's eight words, until the next call. */
export function sha256(text: string): Int32Array {
  // Three bytes are the most that a UTF-16 code unit takes.
  if (text.length * 3 + BLOCK + TRAILER > input.length) {
    input = new Uint8Array(Math.ceil((text.length * 3 + TRAILER) / BLOCK + 1) * BLOCK);
  }
  const { written } = encoder.encodeInto(text, input);
  const end = Math.ceil((written + TRAILER) / BLOCK) * BLOCK;
  input.fill(0, written, end);
  input[written] = 0x80;
  // Texts are shorter than 2²⁹ bytes.
  for (let i = 1, bits = written * 8; i <= 4; i++, bits >>>= 8) input[end - i] = bits;
  state.set(INITIAL);
  for (let offset = 0; offset < end; offset += BLOCK) addBlock(offset);
  return state;
}

function addBlock(offset: number): void {
  for (let i = 0; i < 16; i++) {
    const at = offset + 4 * i;
    schedule[i] = input[at] << 24 | input[at + 1] << 16 | input[at + 2] << 8 | input[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = schedule[i - 15];
    const y = schedule[i - 2];
    schedule[i] = schedule[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >>> 3) +
        schedule[i - 7] + (rotate(y, 17) ^ rotate(y, 19) ^ y >>> 10) | 0;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let i = 0; i < 64; i++) {
    const t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (e & f ^ ~e & g) + ROUND[i] +
        schedule[i] | 0;
    const t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (a & b ^ a & c ^ b & c) | 0;
    h = g;
    g = f;
    f = e;
    e = d + t1 | 0;
    d = c;
    c = b;
    b = a;
    a = t1 + t2 | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

function rotate(word: number, right: number): number {
  return word >>> right | word << 32 - right;
}

function fractions(count: number, root: (prime: number) => number): Int32Array {
  const words = new Int32Array(count);
  let found = 0;
  for (let candidate = 2; found < count; candidate++) {
    if (isPrime(candidate)) words[found++] = Math.floor(root(candidate) % 1 * 2 ** 32);
  }
  return words;
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) {
    if (number % divisor === 0) return false;
  }
  return true;
}

/** Hashes that spread names, so that what is chosen by them is the same in every run. @module */

/** 32 bits from a text: FNV-1a over UTF-16 code units, then MurmurHash3's finaliser. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}

/** Letters of Kubernetes' random suffixes: no vowels, nothing that looks like another. */
const SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789";

/** Five letters that stand for a text, as Kubernetes' generated names end. */
export function nameSuffix(text: string): string {
  let hash = hashText(text);
  let suffix = "";
  for (let i = 0; i < 5; i++) {
    suffix += SUFFIX_LETTERS[hash % SUFFIX_LETTERS.length];
    hash = Math.floor(hash / SUFFIX_LETTERS.length);
  }
  return suffix;
}

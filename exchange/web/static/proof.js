// Verifies what the log claims, from bytes and a public key alone: RFC 9162 proofs, C2SP signed notes and
// checkpoints, salted leaves. Nothing here fetches anything or trusts the page; every refusal is a ProofError
// whose `code` names the reason. Sizes and indices are BigInt, hashes and keys Uint8Array.

export class ProofError extends Error {
  constructor(code, values = {}) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

const encoder = new TextEncoder();
const SIZE_LIMIT = 2n ** 63n - 1n;

export const available = () => globalThis.crypto?.subtle !== undefined;

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new ProofError("bad_json");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

export function unbase64(text, code = "bad_note") {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new ProofError(code);
  }
  if (base64(bytes) !== text) throw new ProofError(code); // one spelling only
  return bytes;
}

const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
export const leafHash = (leaf) => sha256(join(Uint8Array.of(0), leaf)); // RFC 9162 §2.1.1
export const nodeHash = (left, right) => sha256(join(Uint8Array.of(1), left, right));

const wholeHashes = (hashes) => {
  if (hashes.some((hash) => hash.length !== 32)) throw new ProofError("bad_length");
};

// RFC 9162 §2.1.3.2: the root that the path leads to; its length is fixed by index and size.
export async function rootFromPath(index, size, leaf, proof) {
  if (index < 0n || index >= size) throw new ProofError("bad_index");
  wholeHashes([leaf, ...proof]);
  let position = index;
  let last = size - 1n;
  let computed = leaf;
  for (const sibling of proof) {
    if (last === 0n) throw new ProofError("bad_length");
    if (position & 1n || position === last) {
      computed = await nodeHash(sibling, computed);
      while (!(position & 1n) && position) {
        position >>= 1n;
        last >>= 1n;
      }
    } else {
      computed = await nodeHash(computed, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) throw new ProofError("bad_length");
  return computed;
}

export async function verifyInclusion(index, size, leaf, proof, root) {
  if (!same(await rootFromPath(index, size, leaf, proof), root)) throw new ProofError("bad_path");
}

// RFC 9162 §2.1.4.2. From size 0 nothing would be proven, so it is refused.
export async function verifyConsistency(older, newer, proof, olderRoot, newerRoot) {
  const fork = () => new ProofError("bad_fork", { old: older });
  if (older <= 0n || older > newer) throw new ProofError("bad_rollback", { old: older, size: newer });
  wholeHashes([olderRoot, newerRoot, ...proof]);
  if (older === newer) {
    if (proof.length) throw new ProofError("bad_length");
    if (!same(olderRoot, newerRoot)) throw fork();
    return;
  }
  const path = (older & (older - 1n)) === 0n ? [olderRoot, ...proof] : [...proof];
  if (!path.length) throw new ProofError("bad_length");
  let position = older - 1n;
  let last = newer - 1n;
  while (position & 1n) {
    position >>= 1n;
    last >>= 1n;
  }
  let fromOlder = path[0];
  let fromNewer = path[0];
  for (const sibling of path.slice(1)) {
    if (last === 0n) throw new ProofError("bad_length");
    if (position & 1n || position === last) {
      fromOlder = await nodeHash(sibling, fromOlder);
      fromNewer = await nodeHash(sibling, fromNewer);
      while (!(position & 1n) && position) {
        position >>= 1n;
        last >>= 1n;
      }
    } else {
      fromNewer = await nodeHash(fromNewer, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) throw new ProofError("bad_length");
  if (!same(fromOlder, olderRoot) || !same(fromNewer, newerRoot)) throw fork();
}

// c2sp.org/signed-note: text, an empty line, signature lines.
export function splitNote(note) {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) throw new ProofError("bad_note");
  const signatures = note
    .slice(cut + 2, -1)
    .split("\n")
    .map((line) => {
      const match = /^— ([^ +]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
      if (!match) throw new ProofError("bad_note");
      const bytes = unbase64(match[2]);
      if (bytes.length < 5) throw new ProofError("bad_note");
      return { name: match[1], keyId: bytes.slice(0, 4), signature: bytes.slice(4) };
    });
  return { text: note.slice(0, cut + 1), signatures };
}

// c2sp.org/tlog-checkpoint: origin, size, root, extension lines.
export function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length < 4 || lines.pop() !== "" || lines.some((line) => line === "")) throw new ProofError("bad_note");
  const [origin, size, root] = lines;
  if (!/^(0|[1-9][0-9]{0,18})$/.test(size) || BigInt(size) > SIZE_LIMIT) throw new ProofError("bad_note");
  const hash = unbase64(root);
  if (hash.length !== 32) throw new ProofError("bad_note");
  return { origin, size: BigInt(size), root: hash };
}

export async function parseKey(vkey) {
  const match = /^([^ +]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey);
  if (!match) throw new ProofError("bad_key");
  const material = unbase64(match[3], "bad_key");
  const keyId = (await sha256(join(encoder.encode(`${match[1]}\n`), material))).slice(0, 4);
  if (hex(keyId) !== match[2] || material[0] !== 1 || material.length !== 33) throw new ProofError("bad_key");
  return { name: match[1], keyId, publicKey: material.slice(1) };
}

// The checkpoint in a note that `vkey` signed. `signed` is false where this browser has no Ed25519; a note
// without a signature of that key, or with a wrong one, is refused.
export async function openCheckpoint(note, vkey) {
  const { text, signatures } = splitNote(note);
  const key = await parseKey(vkey);
  const line = signatures.find(({ name, keyId }) => name === key.name && same(keyId, key.keyId));
  if (!line) throw new ProofError("bad_signature");
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key.publicKey, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name !== "NotSupportedError") throw new ProofError("bad_key");
    return { ...parseCheckpoint(text), signed: false, name: key.name };
  }
  if (!(await crypto.subtle.verify("Ed25519", imported, line.signature, encoder.encode(text))))
    throw new ProofError("bad_signature");
  return { ...parseCheckpoint(text), signed: true, name: key.name };
}

// The public leaf: exactly the bytes {"digest":…,"kind":…,"time":…}.
export function parseLeaf(bytes) {
  const match =
    /^\{"digest":"([0-9a-f]{64})","kind":"([a-z][a-z0-9]*(?:[._-][a-z0-9]+)*)","time":"(0|[1-9][0-9]{0,18})"\}$/.exec(
      new TextDecoder("utf-8", { fatal: false }).decode(bytes),
    );
  if (!match) throw new ProofError("bad_leaf");
  return { digest: match[1], kind: match[2], timeUs: match[3] };
}

// The leaf commits to this salt and body, and the body says the leaf's kind and time. A head of chunks states the
// digest of the whole, which then stands beside it.
export async function verifyOpening(leaf, salt, body, whole) {
  const digest = hex(await sha256(join(salt, encoder.encode(body))));
  let envelope;
  try {
    envelope = JSON.parse(body);
  } catch {
    throw new ProofError("bad_opening");
  }
  if (digest !== leaf.digest || envelope?.kind !== leaf.kind || envelope?.time !== leaf.timeUs)
    throw new ProofError("bad_opening");
  if (envelope.chunks !== undefined || whole !== undefined) await verifyWhole(envelope, whole);
  return digest;
}

async function verifyWhole(head, whole) {
  if (typeof whole !== "string") throw new ProofError("bad_opening");
  const bytes = encoder.encode(whole);
  let said;
  try {
    said = JSON.parse(whole);
  } catch {
    throw new ProofError("bad_opening");
  }
  if (
    head.chunks?.digest !== hex(await sha256(bytes)) ||
    head.chunks.bytes !== String(bytes.length) ||
    said?.kind !== head.kind ||
    said.time !== head.time
  )
    throw new ProofError("bad_opening");
}

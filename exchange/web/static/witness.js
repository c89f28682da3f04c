// This browser as a small witness: it remembers the last checkpoint and key it saw of this log, and holds the next
// one against them. A log that forks, shrinks or changes its key is told from then on, and what was seen is kept.

import { ProofError, available, base64, openCheckpoint, unbase64, verifyConsistency } from "./proof.js";
import { word } from "./words.js";

const { origin, vkey } = document.body.dataset;
const place = `checkpoint:${origin}`;

const recall = () => {
  try {
    return JSON.parse(localStorage.getItem(place));
  } catch {
    return null;
  }
};

export async function fetched(path, kind) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: kind === "text" ? "text/plain" : "application/json" } });
  } catch (error) {
    throw new ProofError("unreachable", { detail: error.message });
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new ProofError("unreachable", { detail: problem.detail ?? answer.status });
  }
  return answer[kind]();
}

// The key that this browser trusts for this log: the first it saw. Another one on the page is refused.
export function trustedKey() {
  const kept = recall()?.vkey;
  if (kept !== undefined && kept !== vkey) throw new ProofError("bad_key");
  return vkey;
}

// Hold a checkpoint, whose signature was verified, against the one remembered; remember the larger.
// Gives the size of the one it extends, or null on the first visit.
export async function compare(checkpoint) {
  if (checkpoint.origin !== origin) throw new ProofError("bad_origin", { origin: checkpoint.origin });
  const kept = recall();
  const keep = () => {
    const seen = { size: String(checkpoint.size), root: base64(checkpoint.root), vkey: trustedKey() };
    try {
      localStorage.setItem(place, JSON.stringify(seen));
    } catch {
      // A browser that may keep nothing checks each visit alone.
    }
  };
  if (kept === null) {
    keep();
    return null;
  }
  const [older, newer] = [
    { size: BigInt(kept.size), root: unbase64(kept.root) },
    { size: checkpoint.size, root: checkpoint.root },
  ].sort((a, b) => (a.size < b.size ? -1 : a.size > b.size ? 1 : 0));
  if (older.size > 0n) {
    const path = `/v1/consistency?old=${older.size}&new=${newer.size}`;
    const proof = older.size === newer.size ? [] : (await fetched(path, "json")).proof;
    await verifyConsistency(older.size, newer.size, proof.map((hash) => unbase64(hash)), older.root, newer.root);
  }
  if (BigInt(kept.size) < checkpoint.size) keep();
  return BigInt(kept.size);
}

export const remembered = () => recall();

export const reason = (error) => {
  if (!(error instanceof ProofError)) throw error;
  return word(`proof.${error.code}`, error.values);
};

// Check the newest checkpoint: its signature, and that it extends the one seen before.
export async function seal() {
  if (!available()) return { state: "half", text: word("proof.no_crypto") };
  try {
    const kept = recall(); // before fetching: another page of this browser may see a newer one meanwhile
    const checkpoint = await openCheckpoint(await fetched("/checkpoint", "text"), trustedKey());
    if (kept !== null && BigInt(kept.size) > checkpoint.size)
      throw new ProofError("bad_rollback", { old: kept.size, size: checkpoint.size });
    const old = await compare(checkpoint);
    const size = checkpoint.size;
    if (!checkpoint.signed) return { state: "half", text: word("proof.sealed_half", { size }) };
    if (old === null || old === size) return { state: "good", text: word("proof.sealed", { size }) };
    return { state: "good", text: word("proof.sealed_since", { size, old }) };
  } catch (error) {
    if (error.code === "unreachable") return { state: "half", text: reason(error) };
    return { state: "bad", text: `${word("proof.unsealed")} (${reason(error)})` };
  }
}

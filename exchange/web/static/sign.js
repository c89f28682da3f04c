// Signs the contract on the page with a key that this browser keeps: made here, not extractable, and never sent. Before
// anything is signed the clauses as shown are hashed again to the digest (RFC 9162 over RFC 8785 JSON), here.

import { canonical } from "./canonical.js";
import { available, hex, leafHash, nodeHash, sha256 } from "./proof.js";
import { word } from "./words.js";

const at = (id) => document.getElementById(id);
const form = at("sign-form");
const contract = JSON.parse(at("contract").dataset.contract);
const { origin, person, side } = at("contract").dataset;
const ended = JSON.parse(at("contract").dataset.ended);
const encode = (text) => new TextEncoder().encode(text);

function say(text, state) {
  at("sign-says").textContent = text;
  at("sign-says").dataset.state = state;
  at("sign-says").hidden = false;
}

// RFC 9162 §2.1.1: left takes the largest power of two below the number of leaves.
async function root(hashes) {
  if (hashes.length === 1) return hashes[0];
  let left = 1;
  while (left * 2 < hashes.length) left *= 2;
  return nodeHash(await root(hashes.slice(0, left)), await root(hashes.slice(left)));
}

const { template, template_digest, values, clauses, policy, digest } = contract;
const leaves = [{ template, template_digest, values }, ...clauses, policy];
const hashes = await Promise.all(leaves.map((leaf) => leafHash(encode(canonical(leaf)))));

// What is read is what is hashed: the text and the hashes that stand on the page.
const tongue = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
const shown = clauses.every(
  (clause, number) =>
    document.querySelector(`[data-clause="${clause.name}"]`)?.textContent === clause[tongue] &&
    document.querySelector(`[data-hash="${clause.name}"]`)?.textContent === hex(hashes[number + 1]),
);
const same = shown && hex(await root(hashes)) === digest;
at("digest-says").textContent = same ? word("signing.same") : word("signing.other");
at("digest-says").dataset.state = same ? "good" : "bad";

// The browser's own store: a key in it can be used by pages of this exchange and be read out by none.
function store(mode, act) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("exchange-signing", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const asked = act(database.transaction("keys", mode).objectStore("keys"));
      asked.onsuccess = () => (database.close(), resolve(asked.result));
      asked.onerror = () => (database.close(), reject(asked.error));
    };
  });
}

const kept = `${origin} ${person}`;
const raw = async (pair) => new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));

// The key that this person signs with in this browser; a fresh one where there is none, or the one there was revoked.
async function ownKey() {
  const found = await store("readonly", (keys) => keys.get(kept));
  if (found && !ended.includes(`sk-${hex(await sha256(await raw(found))).slice(0, 32)}`)) return found;
  const made = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
  await store("readwrite", (keys) => keys.put(made, kept));
  return made;
}

if (form) {
  if (!available()) say(word("making.no_crypto"), "bad");
  else if (!same) say(word("signing.other"), "bad");
  else form.querySelector("[type=submit]").disabled = false;
  let ready = false;
  form.addEventListener("submit", (event) => {
    if (ready) return;
    event.preventDefault();
    const sign = async () => {
      const pair = await ownKey();
      const statement = encode(`exchange-contract@1\n${origin}\n${side}\n${digest}\n`);
      const signature = await crypto.subtle.sign("Ed25519", pair.privateKey, statement);
      form.elements.public.value = hex(await raw(pair));
      form.elements.signature.value = hex(new Uint8Array(signature));
      form.elements.digest.value = digest;
      ready = true;
      form.requestSubmit();
    };
    sign().catch(() => say(word("signing.no_key"), "bad"));
  });
}

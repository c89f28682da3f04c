// The check on the log page: fetches or reads a proof, verifies it step by step, and says each step in words.

import {
  ProofError, available, hex, leafHash, openCheckpoint, parseLeaf, rootFromPath, unbase64, unhex, verifyInclusion, verifyOpening,
} from "./proof.js";
import { compare, fetched, reason, remembered, trustedKey } from "./witness.js";
import { instant, named, word } from "./words.js";

const verdict = document.getElementById("verdict");
const line = verdict.querySelector("[data-line]");
const steps = verdict.querySelector("[data-steps]");
const again = verdict.querySelector("[data-again]");
let last = null; // what was checked last, to be spoiled on request

function begin() {
  verdict.dataset.state = "checking";
  line.textContent = word("proof.checking");
  steps.replaceChildren();
  again.hidden = true;
}

function step(state, text) {
  const item = document.createElement("li");
  item.dataset.state = state;
  item.textContent = text;
  steps.append(item);
}

const brief = (bytes) => `${hex(bytes).slice(0, 16)}…`;

// `claim`: index, leaf, proof, checkpoint, and of a receipt also salt, body and what whole a head stands for. Throws ProofError at the first step
// that does not hold; gives whether the signature could be checked.
async function prove(claim) {
  const bytes = unbase64(claim.leaf, "bad_leaf");
  const leaf = parseLeaf(bytes);
  step("good", word("proof.step_leaf", { kind: named("kind", leaf.kind), time: instant(leaf.timeUs) }));
  if (claim.body !== undefined) {
    const digest = await verifyOpening(leaf, unhex(claim.salt), claim.body, claim.whole);
    step("good", word("proof.step_opening", { digest: `${digest.slice(0, 16)}…` }));
  }
  const checkpoint = await openCheckpoint(claim.checkpoint, trustedKey());
  const hash = await leafHash(bytes);
  step("good", word("proof.step_leaf_hash", { hash: brief(hash) }));
  const path = claim.proof.map((sibling) => unbase64(sibling, "bad_json"));
  const index = BigInt(claim.index);
  const root = await rootFromPath(index, checkpoint.size, hash, path);
  step("good", word("proof.step_path", { count: path.length, root: brief(root) }));
  await verifyInclusion(index, checkpoint.size, hash, path, checkpoint.root);
  step("good", word("proof.step_root", { size: checkpoint.size }));
  if (checkpoint.signed) step("good", word("proof.step_signature", { name: checkpoint.name }));
  else step("half", word("proof.no_ed25519"));
  const old = await compare(checkpoint);
  if (old === null) step("good", word("proof.step_first", { size: checkpoint.size }));
  else step("good", word("proof.step_consistent", { old }));
  return checkpoint.signed;
}

async function run(make) {
  begin();
  if (!available()) {
    verdict.dataset.state = "half";
    line.textContent = word("proof.no_crypto");
    return;
  }
  let claim = null;
  try {
    claim = await make();
    if (claim.spoiled) step("bad", word("proof.step_spoiled"));
    const signed = await prove(claim);
    verdict.dataset.state = signed ? "good" : "half";
    line.textContent = signed ? word("proof.verdict_good", { index: claim.index }) : word("proof.verdict_half");
  } catch (error) {
    verdict.dataset.state = "bad";
    line.textContent = word("proof.verdict_bad", { reason: reason(error) });
    step("bad", reason(error));
  }
  if (claim !== null && !claim.spoiled) last = claim;
  again.hidden = last === null;
}

const byIndex = (index) => run(() => fetched(`/v1/log/${index}`, "json"));

document.getElementById("check-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byIndex(BigInt(new FormData(event.target).get("index")));
});

document.getElementById("receipt-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = new FormData(event.target).get("receipt");
  run(async () => {
    let given;
    try {
      given = JSON.parse(text);
    } catch {
      throw new ProofError("bad_json");
    }
    const receipt = given?.receipt ?? given;
    const strings = ["index", "leaf", "salt", "body", "checkpoint"].every((name) => typeof receipt?.[name] === "string");
    if (!strings || !/^(0|[1-9][0-9]{0,18})$/.test(receipt.index) || !Array.isArray(receipt.proof))
      throw new ProofError("bad_json");
    return receipt;
  });
});

// One bit of the proof (or, where the tree is a single leaf, of the leaf) turned over: the check must notice.
document.getElementById("spoil").addEventListener("click", () => {
  const turned = (text) => {
    const bytes = unbase64(text, "bad_json");
    bytes[Math.floor(bytes.length / 2)] ^= 1;
    return btoa(String.fromCharCode(...bytes));
  };
  const { proof, leaf } = last;
  const spoiled = proof.length ? { proof: [turned(proof[0]), ...proof.slice(1)] } : { leaf: turned(leaf) };
  run(async () => ({ ...last, ...spoiled, spoiled: true }));
});

async function showNote() {
  try {
    document.getElementById("note").textContent = await fetched("/checkpoint", "text");
  } catch (error) {
    reason(error);
    return;
  }
  const kept = remembered();
  if (kept !== null) document.getElementById("continuity").textContent = word("proof.remembered", { size: kept.size });
}

document.addEventListener("sealed", showNote);

const asked = new URLSearchParams(location.search).get("entry");
if (asked !== null && /^[0-9]{1,18}$/.test(asked)) {
  document.getElementById("check-index").value = asked;
  byIndex(asked);
}

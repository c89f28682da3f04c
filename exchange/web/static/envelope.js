// Seals a bid on the page of one tender. The price and the proposal never leave it: their fields have no name, so no form
// sends them, and only the envelope is handed in. Before anything is sealed the committee that the page names is held to
// the reader's own entry of joining, whose proof is checked here; where the log says another one, nothing is sealed.

import { canonical } from "./canonical.js";
import {
  ProofError, available, hex, leafHash, openCheckpoint, parseLeaf, sha256, unbase64, unhex, verifyInclusion, verifyOpening,
} from "./proof.js";
import { committeeDigest, seal } from "./seal.js";
import { compare, reason, trustedKey } from "./witness.js";
import { money, word } from "./words.js";

const at = (id) => document.getElementById(id);
const { dataset } = at("sealing");
const [bid, committee, joined] = [dataset.bid, dataset.committee, dataset.joined].map((text) => JSON.parse(text));
const form = at("seal-form");
const button = form.querySelector("[type=submit]");
const encode = (text) => new TextEncoder().encode(text);

function say(id, text, state) {
  Object.assign(at(id), { textContent: text, hidden: false });
  at(id).dataset.state = state;
}

// Yuan as entered to fen; null where it is no amount.
function fen(text) {
  const match = /^(\d{1,13})(?:\.(\d{1,2}))?$/.exec(text.trim().replaceAll(",", ""));
  return match ? BigInt(match[1]) * 100n + BigInt((match[2] ?? "").padEnd(2, "0")) : null;
}

// Whether the log told this bidder, on joining, that this committee opens the tender. Throws ProofError where it is not proven.
async function told() {
  const bytes = unbase64(joined.leaf, "bad_leaf");
  await verifyOpening(parseLeaf(bytes), unhex(joined.salt), joined.body, joined.whole);
  const checkpoint = await openCheckpoint(joined.checkpoint, trustedKey());
  const path = joined.proof.map((sibling) => unbase64(sibling, "bad_json"));
  await verifyInclusion(BigInt(joined.index), checkpoint.size, await leafHash(bytes), path, checkpoint.root);
  await compare(checkpoint);
  const { act } = JSON.parse(joined.body);
  return act.tender === bid.lot && act.code === bid.code && act.committee === (await committeeDigest(committee));
}

function refuse(text) {
  at("sealed").hidden = true;
  say("seal-says", text, "bad");
}

async function sealed() {
  const price = fen(at("price").value);
  if (price === null || price === 0n) return refuse(word("sealing.amount"));
  if (price < BigInt(dataset.floorFen)) return refuse(word("sealing.below", { least: money(dataset.floorFen) }));
  if (dataset.ceilingFen && price > BigInt(dataset.ceilingFen))
    return refuse(word("sealing.above", { most: money(dataset.ceilingFen) }));
  const file = at("proposal")?.files[0];
  const proposal = file ? hex(await sha256(await file.arrayBuffer())) : "";
  const chance = crypto.getRandomValues(new Uint8Array(32));
  const bid_id = `web-${hex(crypto.getRandomValues(new Uint8Array(12)))}`;
  const envelope = await seal(price, { ...bid, bid_id }, committee, chance);
  const digest = hex(await sha256(encode(canonical(envelope))));
  at("sealed-digest").textContent = digest;
  if (file) at("proposal-digest").textContent = proposal;
  at("envelope").textContent = JSON.stringify(envelope, null, 1);
  const record = { tender: bid.lot, code: bid.code, bid_id, price_fen: String(price), quantity: "1", proposal, digest, chance: hex(chance) };
  URL.revokeObjectURL(at("record").href);
  at("record").href = URL.createObjectURL(new Blob([JSON.stringify(record, null, 1)], { type: "application/json" }));
  at("record").download = `${bid.lot}-${bid_id}.json`;
  const { elements } = at("hand-in-form");
  elements.sealed.value = JSON.stringify(envelope);
  elements.proposal.value = proposal;
  at("sealed").hidden = false;
  say("seal-says", word("sealing.done", { price: money(price) }), "good");
}

// What was sealed is no longer what the fields say.
form.addEventListener("input", () => {
  at("sealed").hidden = true;
  at("seal-says").hidden = true;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  try {
    await sealed();
  } catch {
    refuse(word("sealing.failed"));
  } finally {
    button.disabled = false;
  }
});

async function begin() {
  if (!available()) return say("committee-says", word("making.no_crypto"), "bad");
  try {
    if (!(await told())) return say("committee-says", word("sealing.other"), "bad");
  } catch (error) {
    if (!(error instanceof ProofError)) throw error;
    return say("committee-says", `${word("sealing.unproven")} (${reason(error)})`, "bad");
  }
  say("committee-says", word("sealing.same", { index: joined.index }), "good");
  button.disabled = false;
}

begin();

// Sits before a lot: keeps the own place true with each new head, sends bids without leaving the page, and bids for the
// reader up to a maximum that stays in this page: only the bids leave it.

import { hex } from "./proof.js";
import { money, word } from "./words.js";

const at = (id) => document.getElementById(id);
const form = at("bid-form");
const proxy = { maximum: null };

function say(id, text, state) {
  const line = at(id);
  line.textContent = text;
  line.dataset.state = state;
  line.hidden = false;
}

// Yuan as entered to fen; null where it is no amount. Whole numbers of fen stay exact below 2^53.
function fen(text) {
  const match = /^(\d{1,13})(?:\.(\d{1,2}))?$/.exec(text.trim().replaceAll(",", ""));
  return match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : null;
}

const spelt = (amount) => `${Math.floor(amount / 100)}.${String(amount % 100).padStart(2, "0")}`;
const next = () => (at("place").dataset.nextFen === "" ? null : Number(at("place").dataset.nextFen));

function take(page) {
  const fresh = page.getElementById("place");
  if (fresh === null) return false;
  if (fresh.outerHTML !== at("place").outerHTML) at("place").replaceWith(document.importNode(fresh, true));
  const least = at("take-least");
  if (least) {
    least.hidden = next() === null;
    least.textContent = word("bidding.take", { price: money(next() ?? 0) });
  }
  return true;
}

// True while the session lasts; without it the page says so and bids no more.
async function look() {
  const answer = await fetch(at("place").dataset.from, { redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") {
    stop(word("bidding.ended"), "bad");
    if (form) say("bid-says", word("bidding.ended"), "bad");
    return false;
  }
  return answer.ok && take(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

// Sends one bid under an identifier of its own, so that a repeated send is answered once; says what came of it.
async function send(amount) {
  const fields = new URLSearchParams({
    do: "bid",
    proof: form.elements.proof.value,
    identifier: `web-${hex(crypto.getRandomValues(new Uint8Array(12)))}`,
    price_fen: spelt(amount),
  });
  const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!take(page)) return { done: false, text: word("bidding.ended") };
  if (answer.ok) return { done: true, text: word("bidding.admitted", { price: money(amount) }) };
  const code = page.querySelector("#trouble code")?.textContent ?? "";
  const said = page.querySelector("#trouble p")?.textContent.trim() ?? word("bidding.unknown");
  return { done: false, code, text: said };
}

function stop(text, state) {
  if (proxy.maximum === null) return;
  proxy.maximum = null;
  at("proxy-go").hidden = false;
  at("proxy-stop").hidden = true;
  at("maximum").disabled = false;
  say("proxy-says", text, state);
}

// Refusals that only say that somebody else was faster: the agent looks again and goes on.
const RACED = ["bid.not_higher", "bid.below_increment"];

async function agent() {
  while (proxy.maximum !== null) {
    const { open, leading } = at("place").dataset;
    if (open !== "yes") return stop(word("bidding.closed"), "bad");
    if (leading === "yes") return say("proxy-says", word("bidding.leads"), "good");
    if (next() === null || next() > proxy.maximum) return stop(word("bidding.beyond"), "bad");
    const { done, code, text } = await send(next());
    if (done) continue;
    if (!RACED.includes(code)) return stop(text, "bad");
    if (!(await look())) return;
  }
}

let busy = false;
let again = false;

// One at a time, and once more where a head came meanwhile.
async function turn(act = async () => {}) {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    await act();
    do {
      again = false;
      if (await look()) await agent();
    } while (again);
  } catch {
    // The connection is gone; the next head, once it is back, brings what was missed.
  } finally {
    busy = false;
  }
}

document.body.addEventListener("head", () => turn());

// A close moves no head of its own until it is written down: look once when the time is over.
setInterval(() => {
  const left = document.querySelector("#standing [data-near]");
  if (left?.dataset.near === "false" && at("place").dataset.open === "yes" && left.textContent === word("live.closing")) turn();
}, 2000);

for (const field of document.querySelectorAll("[data-nonce]"))
  if (!field.value) field.value = hex(crypto.getRandomValues(new Uint8Array(32)));

if (form) {
  const price = form.elements.price_fen;
  form.addEventListener("submit", (event) => {
    const amount = fen(price.value);
    if (amount === null) return; // the server says what is wrong, at the field
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    const bid = async () => {
      const { done, text } = await send(amount);
      say("bid-says", text, done ? "good" : "bad");
      price.toggleAttribute("aria-invalid", !done);
      if (!done) price.setAttribute("aria-invalid", "true");
      else price.value = "";
    };
    const sent = busy ? bid() : turn(bid);
    sent.catch(() => say("bid-says", word("bidding.unknown"), "bad")).finally(() => (button.disabled = false));
  });
  at("take-least").addEventListener("click", () => {
    price.value = spelt(next());
    price.focus();
  });
  at("proxy-go").addEventListener("click", () => {
    const maximum = fen(at("maximum").value);
    if (maximum === null || maximum === 0) return say("proxy-says", word("bidding.amount"), "bad");
    proxy.maximum = maximum;
    at("proxy-go").hidden = true;
    at("proxy-stop").hidden = false;
    at("maximum").disabled = true;
    say("proxy-says", word("bidding.runs"), "good");
    turn();
  });
  at("proxy-stop").addEventListener("click", () => stop(word("bidding.stopped"), "good"));
  addEventListener("beforeunload", (event) => {
    if (proxy.maximum !== null) event.preventDefault(); // leaving the page ends the agent
  });
}

turn();

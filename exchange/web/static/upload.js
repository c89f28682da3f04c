// Sends the product of a form piece by piece before the form itself: shows how far it is, waits while the line is cut,
// goes on where it was, and can be halted. The file is named by the digest in its certificate, which the server holds it to.

import { number, word } from "./words.js";

const PATIENCE_MS = [1000, 2000, 4000, 8000, 15000];

const panel = document.getElementById("upload");
const bar = panel.querySelector("progress");
const says = panel.querySelector("[data-says]");
const halt = panel.querySelector("[data-halt]");
const form = panel.closest("form");
const { target } = panel.dataset;
const chosen = form.elements.product;
const button = form.querySelector("button[type=submit]");

let halted = false;
let cut = new AbortController(); // of what is on its way
let wake = () => {}; // ends a wait early

const mebibytes = (bytes) => number(Math.round((bytes / (1 << 20)) * 10) / 10);

function show(text, state) {
  says.textContent = text;
  says.dataset.state = state;
}

function progress(offset, size) {
  bar.max = size;
  bar.value = offset;
  show(word("upload.sent", { sent: mebibytes(offset), size: mebibytes(size) }), "");
}

const pause = (ms) =>
  new Promise((resolve) => {
    wake = resolve;
    if (ms !== null) setTimeout(resolve, ms);
  });

class Refused extends Error {}

async function ask(query, options = {}) {
  const answer = await fetch(`${target}?${query}`, { ...options, signal: cut.signal, cache: "no-store" });
  if (answer.ok) return answer.json();
  if (answer.status >= 500 || answer.status === 429) throw new TypeError("not now");
  const { code, says: why } = await answer.json();
  if (code === "bulk.offset") throw new TypeError("ask again");
  throw new Refused(why);
}

// A cut line and a busy server are waited for; what is refused is not tried again.
async function send(file, digest) {
  let failures = 0;
  for (;;) {
    if (halted) {
      show(word("upload.halted"), "");
      await pause(null);
      continue;
    }
    try {
      let { offset, complete } = await ask(`sha256=${digest}`);
      while (!complete) {
        progress(offset, file.size);
        const query = `sha256=${digest}&offset=${offset}&size=${file.size}`;
        const body = file.slice(offset, offset + Number(panel.dataset.piece));
        const headers = { "X-Proof": form.elements.proof.value };
        ({ offset, complete } = await ask(query, { method: "POST", body, headers }));
        failures = 0;
      }
      progress(file.size, file.size);
      return;
    } catch (error) {
      if (error instanceof Refused) throw error;
      cut = new AbortController();
      if (halted) continue;
      show(word("upload.cut"), "bad");
      await pause(PATIENCE_MS[Math.min(failures++, PATIENCE_MS.length - 1)]);
    }
  }
}

halt.addEventListener("click", () => {
  halted = !halted;
  halt.textContent = halted ? word("upload.go_on") : word("upload.halt");
  if (halted) cut.abort();
  wake();
});
window.addEventListener("online", () => halted || wake());

form.addEventListener("submit", async (event) => {
  const file = chosen.files[0];
  const certificate = form.elements.certificate.files[0];
  if (!file || !certificate) return;
  event.preventDefault();
  button.disabled = true;
  panel.hidden = false;
  try {
    const digest = JSON.parse(await certificate.text())?.product_digest;
    if (/^[0-9a-f]{64}$/.test(digest)) {
      await send(file, digest);
      chosen.disabled = true; // it is there: the form goes without it
    }
    halt.hidden = true;
    form.submit();
  } catch (error) {
    if (error instanceof SyntaxError) return form.submit(); // no certificate: the server says so
    show(error instanceof Refused ? error.message : String(error), "bad");
    button.disabled = false;
  }
});

// Makes a key in this browser and sends only its SHA-256: the key itself never leaves this page.

import { available, base64, hex, sha256 } from "./proof.js";
import { word } from "./words.js";

const at = (id) => document.getElementById(id);
const says = at("keys-says");
const digest = document.querySelector("#key-form [name=key_digest]");

function say(text, state) {
  says.textContent = text;
  says.dataset.state = state;
  says.hidden = false;
}

if (!available()) {
  say(word("making.no_crypto"), "bad");
  at("make").disabled = true;
}

at("make").addEventListener("click", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const key = "dx_" + base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  digest.value = hex(await sha256(new TextEncoder().encode(key)));
  at("key").value = key;
  at("key").focus();
  at("key").select();
});

at("copy").addEventListener("click", async () => {
  if (!at("key").value) return;
  try {
    await navigator.clipboard.writeText(at("key").value);
    say(word("making.copied"), "good");
  } catch {
    at("key").select(); // without leave to write the clipboard the reader copies it by hand
  }
});

at("key-form").addEventListener("submit", (event) => {
  if (digest.value) return;
  event.preventDefault();
  say(word("making.first"), "bad");
});

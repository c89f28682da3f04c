// The enrolment page: takes the one-time token out of the address, makes a key here, sends only its SHA-256.

import { available, base64, hex, sha256 } from "./proof.js";
import { word } from "./words.js";

const at = (id) => document.getElementById(id);
const says = at("enrol-says");

function say(text, state) {
  says.textContent = text;
  says.dataset.state = state;
  says.hidden = false;
}

// The token stays out of history, server logs and anything that copies the address.
if (location.hash.length > 1) {
  at("token").value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

if (!available()) {
  say(word("making.no_crypto"), "bad");
  at("make").disabled = true;
}

at("make").addEventListener("click", () => {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  at("key").value = "dx_" + base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  at("make").disabled = true;
  at("keep-step").hidden = false;
  at("send-step").hidden = false;
  at("key").focus();
  at("key").select();
});

at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("key").value);
    say(word("making.copied"), "good");
  } catch {
    at("key").select(); // without leave to write the clipboard the reader copies it by hand
  }
});

at("kept").addEventListener("change", () => {
  at("send").disabled = !at("kept").checked;
});

at("enrol-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("send").disabled = true;
  const digest = hex(await sha256(new TextEncoder().encode(at("key").value)));
  const body = JSON.stringify({ token: at("token").value.trim(), key_digest: digest, label: at("label").value.trim() });
  let answer, result;
  try {
    answer = await fetch("/v1/enrolments", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    result = await answer.json();
  } catch {
    say(word("making.unreachable"), "bad");
    at("send").disabled = false;
    return;
  }
  if (!answer.ok) {
    const remedy = result.remedy ? word("making.remedy", { remedy: result.remedy }) : "";
    say(`${word("making.sent_failed", { detail: result.detail })} ${remedy}`, "bad");
    at("send").disabled = false;
    return;
  }
  says.hidden = true;
  at("person").textContent = result.outcome.person;
  at("entry").textContent = `#${result.receipt.index}`;
  at("entry").href += `?entry=${result.receipt.index}#check`;
  at("digest").textContent = digest;
  at("me").textContent = new URL("/v1/me", location.href).href;
  at("done-step").hidden = false;
  at("done-step").scrollIntoView();
});

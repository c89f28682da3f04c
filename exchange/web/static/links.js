// Makes one-time links in this browser: the token is shown here, and only its SHA-256 is sent.

import { available, base64, hex, sha256 } from "./proof.js";
import { lang, word } from "./words.js";

for (const form of document.querySelectorAll("form[data-link]")) {
  const shown = form.querySelector("[data-shown]");
  const says = form.querySelector("[data-says]");
  const say = (text, state) => {
    says.textContent = text;
    says.dataset.state = state;
    says.hidden = false;
  };
  if (!available()) {
    say(word("making.no_crypto"), "bad");
    form.querySelector("[type=submit]").disabled = true;
    continue;
  }
  const token = base64(crypto.getRandomValues(new Uint8Array(32))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  shown.value = new URL(`/${lang}/enrol#${token}`, location.href).href;
  sha256(new TextEncoder().encode(token)).then((digest) => {
    form.elements.token_digest.value = hex(digest);
  });
  form.querySelector("[data-copy]").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(shown.value);
      say(word("making.copied"), "good");
    } catch {
      shown.select(); // without leave to write the clipboard the reader copies it by hand
    }
  });
}

// The digest of a scanned form: the file itself stays on this machine.
for (const field of document.querySelectorAll("input[type=file][data-digest]")) {
  field.addEventListener("change", async () => {
    const [file] = field.files;
    if (file === undefined) return;
    document.getElementById(field.dataset.digest).value = hex(await sha256(new Uint8Array(await file.arrayBuffer())));
  });
}

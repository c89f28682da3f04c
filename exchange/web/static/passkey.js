// Lets a passkey answer what the page asks: the browser keeps the key and shows who asks, the form carries the signature.

import { word } from "./words.js";

const FRESH_MS = 240_000; // of the five minutes for which a question stands

const button = document.querySelector("[data-passkey]");
const { form } = button;
const says = form.querySelector("[data-passkey-says]");
const making = button.dataset.passkey === "create";
const opened = Date.now();

function say(text) {
  says.textContent = text;
  says.hidden = false;
}

// A sign-in page may have been open for long: its address has a fresh question. Others show none, and ask anew on refusal.
async function asked() {
  if (Date.now() - opened < FRESH_MS) return JSON.parse(button.dataset.options);
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  return JSON.parse((page.querySelector("[data-passkey]") ?? button).dataset.options);
}

// A passkey is kept under the name that its holder signs in with, where the form asks for one.
async function answered(options) {
  const login = form.elements.login?.value;
  if (making && login) Object.assign(options.user, { name: login, displayName: login });
  return making
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

// What else the form needs has to be there, but not the code that a passkey stands for.
function complete() {
  const codes = [...form.querySelectorAll("[data-or-passkey]")];
  for (const code of codes) code.required = false;
  const whole = form.reportValidity();
  for (const code of codes) code.required = true;
  return whole;
}

if (typeof PublicKeyCredential === "undefined" || !PublicKeyCredential.parseRequestOptionsFromJSON) {
  if (making) say(word("passkey.unable"));
} else if (location.origin !== button.dataset.site) {
  say(word("passkey.elsewhere", { site: button.dataset.site }));
} else {
  button.hidden = false;
}

button.addEventListener("click", async () => {
  if (!complete()) return;
  says.hidden = true;
  button.disabled = true;
  try {
    const credential = await answered(await asked());
    form.elements[button.dataset.field].value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    say(error.name === "InvalidStateError" ? word("passkey.already") : word("passkey.left"));
    button.disabled = false;
  }
});

// Keeps an open page true: hears of each new head of the log, lets the live parts fetch themselves again, runs the
// market's clock and the countdowns, and checks each checkpoint in this browser.

import { instant, number, word, zoneName } from "./words.js";
import { seal } from "./witness.js";

// The market's clock: what the server said, moved on by this browser's own steady clock.
const clock = { us: 0, at: 0 };

function setClock(us) {
  const heard = Number(us);
  if (heard >= nowUs()) Object.assign(clock, { us: heard, at: performance.now() });
}

const nowUs = () => clock.us + (performance.now() - clock.at) * 1000;

function tellTime(element) {
  const brief = "short" in element.dataset;
  const text = instant(element.dataset.us, brief);
  if (element.textContent !== text) element.textContent = text;
  if (!brief) element.title = zoneName();
}

function tellLeft(element) {
  const now = nowUs();
  const until = Number(element.dataset.until);
  const from = Number(element.dataset.from);
  const left = Math.max(0, Math.ceil(((now < from ? from : until) - now) / 1e6));
  const [days, rest] = [Math.floor(left / 86400), left % 86400];
  const parts = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60];
  const digits = parts.map((part) => String(part).padStart(2, "0")).join(":");
  let text = days ? word("live.days", { days, clock: digits }) : digits;
  if (now < from) text = word("live.not_open", { left: text });
  else if (!left) text = word("live.closing");
  if (element.textContent !== text) element.textContent = text;
  element.dataset.near = String(now >= from && left > 0 && left <= 300);
}

const inside = (node, selector) => [...(node.matches(selector) ? [node] : []), ...node.querySelectorAll(selector)];

function tell(node) {
  for (const element of inside(node, "time[data-us]")) tellTime(element);
  for (const element of inside(node, "[data-until]")) tellLeft(element);
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function glow(element) {
  if (calm.matches || !element.isConnected) return;
  const colour = getComputedStyle(element).getPropertyValue("--glow");
  element.animate([{ backgroundColor: colour }, { backgroundColor: "transparent" }], { duration: 1600, easing: "ease-out" });
}

function watch() {
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") {
        tell(change.target);
        continue;
      }
      const changed = (change.target.nodeType === Node.TEXT_NODE ? change.target.parentElement : change.target)?.closest?.("[data-flash]");
      if (changed) glow(changed);
      for (const node of change.addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        tell(node);
        if (node.matches("[data-row]")) glow(node);
      }
    }
  }).observe(document.getElementById("main"), {
    subtree: true,
    childList: true,
    characterData: true,
    attributes: true,
    attributeFilter: ["data-us", "data-until"],
  });
}

function say(id, state, text) {
  const element = document.getElementById(id);
  if (element.dataset.state !== state) element.dataset.state = state;
  const line = element.querySelector("[data-text]");
  if (line.textContent !== text) line.textContent = text;
}

// A page that nobody looks at lets go of its connection (a browser has few for one host) and catches up when shown.
function follow() {
  let events = null;
  const heard = () => document.body.dispatchEvent(new CustomEvent("head"));
  const leave = () => {
    events?.close();
    events = null;
  };
  const join = () => {
    if (events !== null || document.hidden) return;
    events = new EventSource("/v1/events");
    events.addEventListener("open", () => say("pulse", "on", word("live.on")));
    events.addEventListener("error", () => say("pulse", "off", word("live.off")));
    events.addEventListener("head", ({ data }) => {
      const head = JSON.parse(data);
      setClock(head.time_us);
      document.getElementById("size").textContent = number(head.size);
      heard();
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : join()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", join);
  join();
}

// At most one check at a time, and one more after it where the log grew meanwhile.
function guard() {
  let busy = false;
  let again = false;
  const check = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    const { state, text } = await seal();
    say("seal", state, text);
    document.dispatchEvent(new CustomEvent("sealed"));
    setTimeout(() => {
      busy = false;
      if (again) {
        again = false;
        check();
      }
    }, 3000);
  };
  document.body.addEventListener("head", check);
  check();
}

setClock(document.body.dataset.nowUs);
tell(document.body);
watch();
setInterval(() => {
  const shown = document.querySelector("#clock time");
  shown.dataset.us = String(Math.floor(nowUs()));
  tellTime(shown);
  for (const element of document.querySelectorAll("[data-until]")) tellLeft(element);
}, 1000);
follow();
guard();

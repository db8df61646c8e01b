// The keys of the page: an element with data-key="a b" is pressed, one with data-focus="c" entered.
// Nothing depends on this file but the keys, and texts that were typed and not sent.
"use strict";

// Where another script is typed in (Greek, Hindi), the key is told by its place on the keyboard.
function nameOf(event) {
  if (event.key.length > 1 || /^[\x20-\x7e]$/.test(event.key)) return event.key;
  const place = /^(?:Key|Digit)([A-Z0-9])$/.exec(event.code);
  return place ? place[1].toLowerCase() : event.key;
}

function withKey(attribute, key) {
  return [...document.querySelectorAll(`[${attribute}]`)].find(
    (one) => one.getAttribute(attribute).split(" ").includes(key) && !one.disabled,
  );
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.repeat || event.altKey) return;
  const at = event.target;
  const typing = at.matches("textarea, input:not([type=checkbox]), select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (!at.matches("textarea")) return;
    event.preventDefault();
    const comment = at.id === "comment" && at.closest("section").querySelector("button");
    at.form.requestSubmit(comment || at.form.querySelector("button[name=do]"));
    return;
  }
  if (event.ctrlKey || event.metaKey) return;
  if (typing && event.key !== "Escape") return;
  if (event.key === "Escape" && typing && !at.closest(".edit")) {
    at.blur();
    return;
  }
  if (event.key.length === 1 && localStorage.getItem("single keys") === "off") return;
  const pressed = withKey("data-key", nameOf(event));
  const entered = pressed ? null : withKey("data-focus", nameOf(event));
  if (!pressed && !entered) return;
  event.preventDefault();
  if (pressed) pressed.click();
  else entered.focus();
});

// For who speaks to the machine, or hits keys by accident: keys of one character can be turned off.
const off = document.querySelector("#off input");
if (off) {
  off.closest("#off").hidden = false;
  off.checked = localStorage.getItem("single keys") === "off";
  off.addEventListener("change", () => localStorage.setItem("single keys", off.checked ? "off" : "on"));
}

const show = document.getElementById("show");
if (show) {
  // with the mouse the filter is applied at once, by keys with Enter, for arrows pass through others
  let byKey = false;
  show.addEventListener("keydown", (event) => {
    byKey = event.key !== "Enter";
    if (event.key === "Enter") {
      event.preventDefault();
      show.form.requestSubmit();
    }
  });
  show.addEventListener("pointerdown", () => { byKey = false; });
  show.addEventListener("change", () => { if (!byKey) show.form.requestSubmit(); });
}

// What is typed and not sent is kept in this tab: a closed lid, a reload, the next row or a server
// that went away costs nothing. An edit is kept until the row has another action, a comment until
// another is saved; data-draft names whose it is, of which review and row.
for (const part of document.querySelectorAll("[data-draft]")) {
  const name = `draft/${part.dataset.draft}`;
  const areas = [...part.querySelectorAll("textarea")].filter((one) => one.closest("[data-draft]") === part);
  const before = part.querySelector("[name=commented]").value;
  const texts = () => areas.map((area) => area.value);
  const keep = () => sessionStorage.setItem(name, JSON.stringify({ before, texts: texts() }));
  const hint = part.querySelector(".restored");
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(name)); } catch { kept = null; }
  if ("unsaved" in part.dataset) keep();
  else if (kept && kept.before === before && kept.texts.some((text, place) => text !== areas[place].value)) {
    areas.forEach((area, place) => { area.value = kept.texts[place]; });
    hint.hidden = false;
  } else sessionStorage.removeItem(name);
  part.addEventListener("input", (event) => { if (areas.includes(event.target)) keep(); });
  areas[0]?.form.addEventListener("reset", () => {
    sessionStorage.removeItem(name);
    hint.hidden = true;
  });
}
const first = document.querySelector("form.edit textarea");
if (first) first.setSelectionRange(first.value.length, first.value.length);

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

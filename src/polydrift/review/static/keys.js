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
  const typing = at.matches("textarea, input, select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (!at.matches("textarea")) return;
    event.preventDefault();
    at.form.requestSubmit(at.form.querySelector("button[name=do]"));
    return;
  }
  if (event.ctrlKey || event.metaKey) return;
  if (typing && event.key !== "Escape") return;
  if (event.key === "Escape" && typing && !at.closest(".edit")) {
    at.blur();
    return;
  }
  const pressed = withKey("data-key", nameOf(event));
  const entered = pressed ? null : withKey("data-focus", nameOf(event));
  if (!pressed && !entered) return;
  event.preventDefault();
  if (pressed) pressed.click();
  else entered.focus();
});

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

// What is typed into an edit is kept in this tab until the row has another action: a closed lid, a
// reload or a server that went away costs nothing.
const edit = document.querySelector("form[data-draft]");
if (edit) {
  const [place, seen] = edit.dataset.draft.split("/");
  const name = `draft/${place}`;
  const areas = [...edit.querySelectorAll("textarea")];
  const texts = () => Object.fromEntries(areas.map((area) => [area.name, area.value]));
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(name)); } catch { kept = null; }
  if (kept && kept.seen === seen && areas.some((area) => (kept.texts[area.name] ?? area.value) !== area.value)) {
    for (const area of areas) area.value = kept.texts[area.name] ?? area.value;
    edit.querySelector(".restored").hidden = false;
  } else sessionStorage.removeItem(name);
  edit.addEventListener("input", () => sessionStorage.setItem(name, JSON.stringify({ seen, texts: texts() })));
  edit.addEventListener("reset", () => {
    sessionStorage.removeItem(name);
    edit.querySelector(".restored").hidden = true;
  });
  const first = areas[0];
  if (first) first.setSelectionRange(first.value.length, first.value.length);
}

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

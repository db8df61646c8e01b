// Without this script the page is complete. With it, the line under a matrix spells out the place
// under the pointer or the keyboard, arrow keys walk through a matrix, and answers can be filtered.
"use strict";
for (const table of document.querySelectorAll("table.matrix")) {
  const detail = table.closest("figure").querySelector(".detail");
  const columns = [...table.querySelectorAll("thead abbr")].map((abbr) => abbr.title);
  const rows = [...table.tBodies[0].rows];
  const at = (row, column) => rows[row]?.cells[column + 1];
  const show = (cell) => {
    const row = cell.parentNode.cells[0].firstChild.textContent.trim();
    detail.textContent = `${row} → ${columns[cell.cellIndex - 1]}: ${cell.title}`;
  };
  rows.forEach((row) => [...row.cells].slice(1).forEach((cell) => (cell.tabIndex = -1)));
  if (at(0, 0)) at(0, 0).tabIndex = 0;
  table.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("tbody td");
    if (cell) show(cell);
  });
  table.addEventListener("focusin", (event) => {
    const cell = event.target.closest("tbody td");
    if (!cell) return;
    table.querySelector('td[tabindex="0"]').tabIndex = -1;
    cell.tabIndex = 0;
    show(cell);
  });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const cell = event.target.closest("tbody td");
    if (!step || !cell) return;
    const next = at(rows.indexOf(cell.parentNode) + step[0], cell.cellIndex - 1 + step[1]);
    if (next && next.tagName === "TD") next.focus();
    event.preventDefault();
  });
}
const filters = document.querySelector(".filters");
if (filters) {
  const apply = () => {
    const wanted = [...filters.querySelectorAll("select")].filter((one) => one.value);
    for (const part of document.querySelectorAll("details.answers")) {
      const rows = [...part.querySelectorAll("tbody tr")];
      rows.forEach((row) => (row.hidden = wanted.some((one) => row.dataset[one.name] !== one.value)));
      const shown = rows.filter((row) => !row.hidden).length;
      part.querySelector("summary small").textContent = `${shown} of ${rows.length}`;
    }
  };
  filters.hidden = false;
  filters.addEventListener("change", apply);
  apply();
}

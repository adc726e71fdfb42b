"use strict";
// Without this script the page is whole: each piece of code unfolds by itself. The button unfolds all of them.
const button = document.querySelector(".all-code");
const code = document.querySelectorAll("details.code");
button.hidden = !code.length;
button.addEventListener("click", () => {
  const open = button.getAttribute("aria-pressed") === "false";
  code.forEach((cell) => { cell.open = open; });
  button.setAttribute("aria-pressed", String(open));
  button.textContent = open ? "Hide all code" : "Show all code";
});
// On a narrow screen the contents stand above the text, so they start folded.
if (matchMedia("(max-width: 60rem)").matches) document.querySelector(".contents").open = false;
// Columns of numbers are aligned to the right. Columns are counted from there, as index cells on the left may span rows.
const number = /^([-+\u2212]?[\d,.]*\d(e[-+]?\d+)?\s?%?|nan|\.\.\.|)$/i;
for (const table of document.querySelectorAll("table")) {
  const rows = [...table.rows].map((row) => [...row.cells].reverse());
  for (let column = 0; column < table.rows[0].cells.length; column += 1) {
    const cells = rows.map((row) => row[column]).filter((cell) => cell);
    const values = cells.filter((cell) => cell.tagName === "TD");
    if (values.length && values.every((cell) => number.test(cell.textContent.trim()))) {
      cells.forEach((cell) => cell.classList.add("number"));
    }
  }
}

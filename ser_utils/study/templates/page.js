"use strict";
// Without this script the page is whole: each piece of code unfolds by itself. The button unfolds all of them.
const button = document.querySelector(".all-code");
const code = document.querySelectorAll("details.code");
if (button && code.length) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") === "false";
    code.forEach((cell) => { cell.open = open; });
    button.setAttribute("aria-pressed", String(open));
    button.textContent = open ? "Hide all code" : "Show all code";
  });
}
// On a narrow screen the contents stand above the text, so they start folded.
const contents = document.querySelector(".contents");
if (contents && matchMedia("(max-width: 60rem)").matches) contents.open = false;

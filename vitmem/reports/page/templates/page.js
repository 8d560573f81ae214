"use strict";
// Texts are compared piece by piece, the numbers in them by size: "fraction 0.002" before "fraction 0.01".
const pieces = (text) => text.split(/(\d+(?:\.\d+)?(?:e[-+]?\d+)?)/i).map((p, i) => (i % 2 ? Number(p) : p));
const key = (cell) => {
  const text = (cell.dataset.text ?? cell.textContent).trim();
  if (text === "" || text === "–") return null;
  return cell.dataset.value === undefined ? pieces(text) : [Number(cell.dataset.value)];
};
const compare = (a, b) => {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    if (a[i] === b[i]) continue;
    if (typeof a[i] === "number" && typeof b[i] === "number") return a[i] - b[i];
    return String(a[i]).localeCompare(String(b[i]));
  }
  return a.length - b.length;
};

// A column's button sorts up, then down, then puts the rows back; empty cells stay last either way.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const next = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      const order = next === undefined ? "ascending" : next;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      table.classList.toggle("sorted", order !== null);
      if (order === null) return body.append(...original);
      head.setAttribute("aria-sort", order);
      const keyed = original.map((row) => [key(row.cells[head.cellIndex]), row]);
      const sign = order === "ascending" ? 1 : -1;
      keyed.sort(([a], [b]) => (a && b ? sign * compare(a, b) : (a === null) - (b === null)));
      body.append(...keyed.map(([, row]) => row));
    });
  }
}

const unfold = document.getElementById("unfold");
unfold.addEventListener("click", () => {
  const open = unfold.getAttribute("aria-pressed") === "false";
  for (const fold of document.querySelectorAll("details.fold")) fold.open = open;
  unfold.setAttribute("aria-pressed", String(open));
  unfold.textContent = open ? "Close all" : "Open all";
});

// What a box hides to the right and below has a shadow and a sentence; a table that fits keeps its heads in sight.
const look = (box) => {
  const table = box.querySelector("table");
  const wide = table === null ? box.scrollWidth : table.offsetWidth;
  const over = wide > box.clientWidth + 1;
  const long = box.classList.contains("long");
  box.classList.toggle("fits", table !== null && !over && !long);
  box.parentElement.classList.toggle("right", over && box.scrollLeft + box.clientWidth < wide - 1);
  box.parentElement.classList.toggle("below", long && box.scrollTop + box.clientHeight < box.scrollHeight - 1);
  const hint = box.parentElement.previousElementSibling;
  if (hint !== null && hint.classList.contains("sideways")) hint.hidden = !over;
  const button = box.parentElement.nextElementSibling;
  const image = box.querySelector("img");
  if (image === null || button === null) return;
  const natural = parseFloat(image.style.getPropertyValue("--width"));
  button.hidden = box.clientWidth > 0.8 * natural;
};
const boxes = document.querySelectorAll(".scroll");
const observer = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
for (const box of boxes) {
  observer.observe(box);
  box.addEventListener("scroll", () => look(box), { passive: true });
}
for (const button of document.querySelectorAll("button.enlarge")) {
  button.addEventListener("click", () => {
    const box = button.previousElementSibling.firstElementChild;
    const large = box.classList.toggle("enlarged");
    button.setAttribute("aria-pressed", String(large));
    button.textContent = large ? "Fit to the page" : "Enlarge";
    look(box);
  });
}

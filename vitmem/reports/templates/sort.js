"use strict";
// Cells of a column are compared by the number that they begin with if every one does, else piece by piece, the numbers
// in them by size: "fraction 0.002" before "fraction 0.01". Empty cells stay last either way.
const NUMBER = /^[<>≤≥~\s]*([+-]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)/i;
const text = (cell) => (cell.dataset.value ?? cell.dataset.text ?? cell.textContent).trim();
const leading = (words) => {
  const found = NUMBER.exec(words);
  return found && Number(found[1].replaceAll(",", ""));
};
const pieces = (words) => words.split(/(\d+(?:\.\d+)?(?:e[-+]?\d+)?)/i).map((p, i) => (i % 2 ? Number(p) : p));
const compare = (a, b) => {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    if (a[i] === b[i]) continue;
    return typeof a[i] === "number" ? a[i] - b[i] : a[i].localeCompare(b[i]);
  }
  return a.length - b.length;
};
const keys = (words) => {
  const numbers = words.map((one) => one === "" || one === "–" || leading(one));
  const numeric = numbers.every((one) => one === true || one !== null);
  return words.map((one, i) => (numbers[i] === true ? null : numeric ? [numbers[i]] : pieces(one)));
};

// A column's button sorts up, then down, then puts the rows back.
const sortable = (table) => {
  const body = table.tBodies[0];
  const original = [...body.rows];
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const next = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      const order = next === undefined ? "ascending" : next;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      table.classList.toggle("sorted", order !== null);
      if (order === null) return body.append(...original);
      head.setAttribute("aria-sort", order);
      const found = keys(original.map((row) => text(row.cells[head.cellIndex])));
      const sign = order === "ascending" ? 1 : -1;
      const places = original.map((_, i) => i);
      places.sort((i, j) => {
        const [a, b] = [found[i], found[j]];
        return a && b ? sign * compare(a, b) : (a === null) - (b === null);
      });
      body.append(...places.map((i) => original[i]));
    });
  }
};

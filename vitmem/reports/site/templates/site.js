"use strict";
// Cells of a column are compared by the number that they begin with if every one does, else piece by piece, the numbers
// in them by size: "fraction 0.002" before "fraction 0.01". Empty cells stay last either way.
const NUMBER = /^[<>≤≥~\s]*([+-]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)/i;
const text = (cell) => (cell.dataset.value ?? cell.textContent).trim();
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

// A box that has more to the right or below shows a shade there.
const watch = (box) => {
  const tell = () => {
    box.parentElement.classList.toggle("right", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
    box.parentElement.classList.toggle("below", box.scrollHeight - box.clientHeight - box.scrollTop > 2);
  };
  box.addEventListener("scroll", tell, { passive: true });
  new ResizeObserver(tell).observe(box);
  for (const child of box.children) new ResizeObserver(tell).observe(child);
};

const start = (root) => {
  root.querySelectorAll("table.sortable").forEach(sortable);
  root.querySelectorAll(".frame > .scroll").forEach(watch);
};
start(document);

// Lines of the landing tables that have what is chosen.
const filters = document.querySelector("form.filters[role=search]");
if (filters) {
  const rows = [...document.querySelectorAll("table.landing tbody tr")];
  const tell = () => {
    const chosen = [...filters.querySelectorAll("select")].filter((select) => select.value);
    for (const row of rows) row.hidden = !chosen.every((one) => JSON.parse(row.dataset[one.name]).includes(one.value));
    for (const table of document.querySelectorAll("table.landing")) {
      const none = [...table.tBodies[0].rows].every((row) => row.hidden);
      table.closest(".frame").nextElementSibling.hidden = !none;
    }
    filters.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} lines`;
  };
  filters.addEventListener("change", tell);
  filters.addEventListener("reset", () => setTimeout(tell));
  filters.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("pageshow", tell);
}

// Two suites beside each other; the address names them, so that it can be kept: #left&right.
const form = document.getElementById("compare");
if (form) {
  const { left, right } = form.elements;
  const templates = new Map([...document.querySelectorAll("template[data-suite]")].map((one) => [one.dataset.suite, one]));
  const names = [...templates.keys()];
  const side = (n, name) => {
    for (const place of document.querySelectorAll(".sides")) {
      const found = templates.get(name).content.querySelector(`[data-part="${place.dataset.part}"]`).cloneNode(true);
      for (const one of found.querySelectorAll("[id]")) one.removeAttribute("id");
      place.children[n].replaceChildren(found);
      start(found);
    }
  };
  const show = () => {
    side(0, left.value);
    side(1, right.value);
    for (const section of document.querySelectorAll("section.pair")) section.hidden = false;
    form.querySelector("output").textContent = left.value === right.value ? "Choose two different suites." : "";
  };
  const read = () => {
    const asked = location.hash.slice(1).split("&").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
    left.value = templates.has(asked[0]) ? asked[0] : names[0];
    right.value = templates.has(asked[1]) ? asked[1] : names.find((name) => name !== left.value) ?? left.value;
    show();
  };
  const keep = () => {
    location.replace(`#${encodeURIComponent(left.value)}&${encodeURIComponent(right.value)}`);
    show();
  };
  form.addEventListener("change", keep);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("swap").addEventListener("click", () => {
    [left.value, right.value] = [right.value, left.value];
    keep();
  });
  addEventListener("hashchange", read);
  read();
}

"use strict";
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

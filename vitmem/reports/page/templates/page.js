document.querySelectorAll("table.sortable").forEach(sortable);

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

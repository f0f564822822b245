"use strict";
// Reads the values of a chart from the table beside it: with the pointer, by touch, and
// with the arrow keys. Without it the page loses nothing but that.
for (const chart of document.querySelectorAll(".chart")) {
  const plot = chart.querySelector(".plot");
  const frame = chart.querySelector(".frame");
  const cursor = chart.querySelector(".cursor");
  const readout = chart.querySelector(".readout");
  const rows = [...chart.querySelectorAll("tbody tr")];
  const names = [...chart.querySelectorAll("thead th")].map((cell) => cell.textContent);
  const places = rows.map((row) => Number(row.dataset.x));
  let at = -1;

  const show = (index) => {
    at = Math.max(0, Math.min(rows.length - 1, index));
    const cells = [...rows[at].children].map((cell) => cell.textContent);
    const values = cells.slice(1)
      .map((value, number) => (value === "" ? "" : `${names[number + 1]} ${value}`))
      .filter((value) => value !== "");
    readout.textContent = [cells[0], ...values].join(" · ");
    readout.classList.toggle("right", places[at] < 50);
    cursor.setAttribute("x1", `${places[at]}%`);
    cursor.setAttribute("x2", `${places[at]}%`);
    plot.classList.add("reading");
  };
  const hide = () => plot.classList.remove("reading");
  const nearest = (percent) => {
    let best = 0;
    places.forEach((place, index) => {
      if (Math.abs(place - percent) < Math.abs(places[best] - percent)) best = index;
    });
    return best;
  };
  if (rows.length === 0) continue;

  plot.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    show(nearest(((event.clientX - box.left) / box.width) * 100));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: rows.length - 1 };
    if (event.key === "Escape") hide();
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(steps[event.key]);
  });
}
// What is folded away on the screen shall be on paper.
window.addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details.proof")) each.open = true;
});

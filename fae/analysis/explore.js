"use strict";
// Shows the test image of the point that is pointed at, touched, or reached by the arrow keys.
const plot = document.getElementById("plot");
const ring = document.getElementById("ring");
const look = document.getElementById("look");
const image = document.getElementById("image");
const said = document.getElementById("said");
const keys = [...document.querySelectorAll(".keys button")];
const across = Number(image.dataset.across), down = Number(image.dataset.down);
const points = [...document.querySelectorAll("#points circle")].map((mark, tile) => ({
  mark, tile, x: mark.cx.baseVal.value, y: mark.cy.baseVal.value, key: keys[mark.classList[0].slice(1)],
}));
let current = null;

function show(point) {
  current = point;
  ring.setAttribute("cx", point.x);
  ring.setAttribute("cy", point.y);
  ring.removeAttribute("hidden");
  const place = (index, count) => (count > 1 ? (100 * index) / (count - 1) : 0);
  const row = Math.floor(point.tile / across);
  image.style.backgroundPosition = `${place(point.tile % across, across)}% ${place(row, down)}%`;
  look.hidden = false;
  said.textContent = `${point.key.textContent}, test image ${point.mark.dataset.image}`;
}

function lowest(cost) {
  let best = null, least = Infinity;
  for (const point of points) {
    const found = point.mark.classList.contains("dim") ? Infinity : cost(point);
    if (found < least) [best, least] = [point, found];
  }
  return best;
}

function seek(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
  const near = lowest((point) => (point.x - at.x) ** 2 + (point.y - at.y) ** 2);
  if (near) show(near);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function step(event) {
  const arrow = ARROWS[event.key];
  if (!arrow) return;
  event.preventDefault();
  const from = current ?? { x: plot.viewBox.baseVal.width / 2, y: plot.viewBox.baseVal.height / 2 };
  const next = lowest((point) => {
    const x = point.x - from.x, y = point.y - from.y;
    const along = x * arrow[0] + y * arrow[1], aside = x * arrow[1] + y * arrow[0];
    return along > 0 && Math.abs(aside) <= along ? along + 2 * Math.abs(aside) : Infinity;
  });
  if (next) show(next);
}

function choose(event) {
  const key = event.currentTarget;
  key.setAttribute("aria-pressed", String(key.getAttribute("aria-pressed") !== "true"));
  const pressed = new Set(keys.filter((each) => each.getAttribute("aria-pressed") === "true"));
  for (const point of points) point.mark.classList.toggle("dim", pressed.size > 0 && !pressed.has(point.key));
}

plot.setAttribute("role", "application");
plot.tabIndex = 0;
plot.addEventListener("pointermove", seek);
plot.addEventListener("pointerdown", seek);
plot.addEventListener("keydown", step);
for (const key of keys) key.addEventListener("click", choose);
document.getElementById("how").hidden = false;
